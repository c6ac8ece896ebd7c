CREATE FUNCTION public.dismiss_worker(p_worker_id text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.dismiss_worker(p_worker_id) $$;

REVOKE ALL ON FUNCTION public.dismiss_worker(p_worker_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.dismiss_worker(p_worker_id text) TO service_role;
