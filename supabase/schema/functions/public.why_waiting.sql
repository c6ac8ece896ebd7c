CREATE FUNCTION public.why_waiting(p_job_id uuid) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.why_waiting(p_job_id) $$;

REVOKE ALL ON FUNCTION public.why_waiting(p_job_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.why_waiting(p_job_id uuid) TO authenticated;
GRANT ALL ON FUNCTION public.why_waiting(p_job_id uuid) TO service_role;
