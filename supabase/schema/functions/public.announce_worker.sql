CREATE FUNCTION public.announce_worker(p_worker_id text, p_queues jsonb DEFAULT NULL::jsonb, p_stopping boolean DEFAULT false) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.announce_worker(p_worker_id, p_queues, p_stopping) $$;

REVOKE ALL ON FUNCTION public.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) TO service_role;
