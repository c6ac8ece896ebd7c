CREATE FUNCTION filaviva.start_jobs(p_queue public.queues, p_now timestamp with time zone, p_worker_id text, p_request_id uuid, p_job_ids uuid[], p_msg_ids bigint[]) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'on'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_claim_ids bigint[];
begin
  with started as (
    update public.jobs j set
      status = 'processing',
      attempt = j.attempt + case when j.mode = 'run' then 1 else 0 end,
      started_at = p_now, updated_at = p_now,
      claim_id = nextval('filaviva.claim_seq'), worker_id = p_worker_id,
      lease_expires_at = p_now + make_interval(secs => p_queue.lease_seconds),
      msg_id = m.msg_id, waiting_reason = null,
      version = j.version + 1
    from unnest(p_job_ids, p_msg_ids) as m(job_id, msg_id)
    where j.id = m.job_id and j.id = any (p_job_ids)
    returning j.claim_id
  )
  select array_agg(s.claim_id) into v_claim_ids from started s;
  insert into filaviva.claim_requests (request_id, job_ids, claim_ids) values (p_request_id, p_job_ids, v_claim_ids);
  return filaviva.claimed_jobs(p_job_ids);
end
$$;

COMMENT ON FUNCTION filaviva.start_jobs(p_queue public.queues, p_now timestamp with time zone, p_worker_id text, p_request_id uuid, p_job_ids uuid[], p_msg_ids bigint[]) IS 'Turns locked jobs into claimed ones: a new claim id, a lease, one attempt more unless it only reconciles.';

REVOKE ALL ON FUNCTION filaviva.start_jobs(p_queue public.queues, p_now timestamp with time zone, p_worker_id text, p_request_id uuid, p_job_ids uuid[], p_msg_ids bigint[]) FROM PUBLIC;
