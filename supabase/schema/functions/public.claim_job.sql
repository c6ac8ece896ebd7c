CREATE FUNCTION public.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) RETURNS json
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.claim_job(p_job_id, p_worker_id, p_request_id) $$;

REVOKE ALL ON FUNCTION public.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) TO service_role;
