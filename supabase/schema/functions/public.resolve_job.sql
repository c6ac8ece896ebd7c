CREATE FUNCTION public.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb DEFAULT NULL::jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.resolve_job(p_job_id, p_happened, p_result) $$;

REVOKE ALL ON FUNCTION public.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) TO service_role;
