CREATE FUNCTION public.due_queues() RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.due_queues() $$;

REVOKE ALL ON FUNCTION public.due_queues() FROM PUBLIC;
GRANT ALL ON FUNCTION public.due_queues() TO service_role;
