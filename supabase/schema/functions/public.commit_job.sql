CREATE FUNCTION public.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.commit_job(p_job_id, p_claim_id, p_checkpoint, p_reconcilable, p_extend_seconds) $$;

REVOKE ALL ON FUNCTION public.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) TO service_role;
