CREATE FUNCTION filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[] DEFAULT NULL::bigint[]) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'on'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_queue public.queues;
  v_start_within int;
begin
  select * into v_queue from public.queues q where q.name = (select j.queue from public.jobs j where j.id = p_job_ids[1]);
  if exists (select from public.queue_limits l where l.queue = v_queue.name) then
    v_start_within := extract(epoch from filaviva.start_slack());
  end if;
  return (
    select coalesce(json_agg(json_build_object(
        'job_id', j.id, 'claim_id', j.claim_id, 'mode', j.mode, 'attempt', j.attempt, 'max_attempts', j.max_attempts,
        'queue', j.queue, 'kind', j.kind, 'payload', j.payload, 'metadata', j.metadata, 'user_id', j.user_id,
        'company_id', j.company_id, 'instance_id', j.instance_id, 'group_key', j.group_key, 'correlation_id', j.correlation_id,
        'checkpoint', (select c.checkpoint from filaviva.job_checkpoints c where c.job_id = j.id),
        'committed', j.committed_at is not null, 'timeout_seconds', j.timeout_seconds,
        'lease_seconds', v_queue.lease_seconds, 'lease_expires_at', j.lease_expires_at, 'created_at', j.created_at,
        'start_within_seconds', v_start_within
      ) order by j.priority desc, j.fair_tag, j.seq), '[]')
    from unnest(p_job_ids) as i(id) cross join lateral (select x.* from public.jobs x where x.id = i.id offset 0) j
    where (p_claim_ids is null or j.claim_id = any (p_claim_ids)) and j.status = 'processing'
  );
end
$$;

COMMENT ON FUNCTION filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[]) IS 'Claimed jobs as a worker gets them, as far as the claims still hold.';

REVOKE ALL ON FUNCTION filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[]) FROM PUBLIC;
