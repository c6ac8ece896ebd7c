CREATE FUNCTION filaviva.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '1s'
    AS $$
declare
  v_now timestamptz;
  v_job public.jobs;
begin
  if octet_length(p_checkpoint::text) > 65536 then
    perform filaviva.fail(413, 'payload_too_large', 'The checkpoint is above 64 KB.', 'Keep what is needed to find the call again, and no more.');
  end if;
  select * into v_job from public.jobs j where j.id = p_job_id for update;
  v_now := filaviva.now();
  if v_job.status is distinct from 'processing' or v_job.claim_id is distinct from p_claim_id
    or filaviva.is_lost(v_job, (select q from public.queues q where q.name = v_job.queue), v_now)
  then
    perform filaviva.fail(409, 'stale_claim', 'Another claim has taken this job, or it is over.', 'Do not make the irreversible call.');
  end if;
  if v_job.cancel_requested_at is not null then
    perform filaviva.fail(409, 'cancel_requested', 'The owner has asked to cancel this job.', 'Do not make the irreversible call; settle it as cancelled.');
  end if;
  if v_job.committed_at is null and v_job.expires_at <= v_now then
    perform filaviva.fail(409, 'expired', 'The job''s expires_at has passed.', 'Do not make the irreversible call; settle it as cancelled.');
  end if;
  insert into filaviva.job_checkpoints (job_id, checkpoint) values (p_job_id, coalesce(p_checkpoint, '{}'))
  on conflict (job_id) do update set checkpoint = excluded.checkpoint;
  update public.jobs j set
    committed_at = v_now, reconcilable = coalesce(p_reconcilable, false),
    lease_expires_at = greatest(j.lease_expires_at, v_now + make_interval(secs => least(greatest(p_extend_seconds, 0), 86400))),
    version = j.version + 1, updated_at = v_now
  where j.id = p_job_id
  returning * into v_job;
  return jsonb_build_object('committed_at', v_job.committed_at, 'lease_expires_at', v_job.lease_expires_at);
end
$$;

COMMENT ON FUNCTION filaviva.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) IS 'The point of no return: acknowledged just before the one irreversible call, with what is needed to find out later whether it happened. Refuses stale claims, cancelled and expired jobs.';

REVOKE ALL ON FUNCTION filaviva.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds integer) TO service_role;
