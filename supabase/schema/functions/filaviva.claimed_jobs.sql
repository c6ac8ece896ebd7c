CREATE FUNCTION filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
        'job_id', j.id, 'claim_id', j.claim_id, 'mode', j.mode, 'attempt', j.attempt, 'max_attempts', j.max_attempts,
        'queue', j.queue, 'kind', j.kind, 'payload', j.payload, 'metadata', j.metadata, 'user_id', j.user_id,
        'company_id', j.company_id, 'instance_id', j.instance_id, 'group_key', j.group_key, 'correlation_id', j.correlation_id,
        'checkpoint', c.checkpoint, 'committed', j.committed_at is not null, 'timeout_seconds', j.timeout_seconds,
        'lease_seconds', q.lease_seconds, 'lease_expires_at', j.lease_expires_at, 'created_at', j.created_at
      ) order by j.priority desc, j.seq), '[]')
    from public.jobs j
    join public.queues q on q.name = j.queue
    left join filaviva.job_checkpoints c on c.job_id = j.id
    where j.id = any (p_job_ids) and j.claim_id = any (p_claim_ids) and j.status = 'processing'
  );
end
$$;

COMMENT ON FUNCTION filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[]) IS 'Claimed jobs as a worker gets them, as far as the claims still hold.';

REVOKE ALL ON FUNCTION filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[]) FROM PUBLIC;
