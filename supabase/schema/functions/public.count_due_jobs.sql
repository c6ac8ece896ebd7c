CREATE FUNCTION public.count_due_jobs(p_queues jsonb) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.count_due_jobs(p_queues) $$;

REVOKE ALL ON FUNCTION public.count_due_jobs(p_queues jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.count_due_jobs(p_queues jsonb) TO service_role;
