CREATE FUNCTION public.enqueue_jobs(p_jobs jsonb) RETURNS json
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.enqueue_jobs(p_jobs) $$;

COMMENT ON FUNCTION public.enqueue_jobs(p_jobs jsonb) IS 'Enqueue 1 to 10,000 jobs, all or nothing; answers one {job_id, status, duplicate, scheduled_at, version} a position.';

REVOKE ALL ON FUNCTION public.enqueue_jobs(p_jobs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.enqueue_jobs(p_jobs jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.enqueue_jobs(p_jobs jsonb) TO service_role;
