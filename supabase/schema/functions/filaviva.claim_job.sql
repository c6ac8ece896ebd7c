CREATE FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_job public.jobs;
  v_queue public.queues;
  v_msg_ids bigint[];
  v_earlier filaviva.claim_requests;
begin
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return jsonb_build_object('jobs', filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids), 'next_due_in_ms', null, 'state', 'ok');
  end if;
  -- What it waits for may be over by now.
  perform filaviva.release_later(j.queue, v_now, 100), filaviva.release_groups(j.queue, v_now, 100)
  from public.jobs j where j.id = p_job_id and j.finished_at is null;
  select * into v_job from public.jobs j where j.id = p_job_id for update skip locked;
  if not found then
    if not exists (select from public.jobs j where j.id = p_job_id) then
      perform filaviva.fail(404, 'unknown_job', format('There is no job %s.', p_job_id), 'Check the id; finished jobs are pruned after their retention.');
    end if;
    perform filaviva.fail(409, 'not_claimable', 'The job is being changed by another call.', 'Try again in a moment.');
  end if;
  select * into v_queue from public.queues q where q.name = v_job.queue;
  if v_job.fair_tag is null and (v_job.msg_id is null or v_job.status not in ('pending', 'retrying')) then
    perform filaviva.fail(409, 'not_claimable',
      case
        when v_job.finished_at is not null then format('The job is over: %s.', v_job.status)
        when v_job.status = 'processing' then 'The job is being processed.'
        else format('The job waits: %s.', coalesce(v_job.waiting_reason, 'not due'))
      end,
      'Call without a job_id to process what is due.');
  end if;
  if v_queue.paused_at is not null then
    perform filaviva.fail(409, 'not_claimable', 'The queue is paused.', 'Try again when it was resumed.');
  end if;
  if v_queue.concurrency is not null and (
    not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(v_job.queue))
    or filaviva.running(v_job.queue) >= v_queue.concurrency
  ) then
    perform filaviva.fail(409, 'not_claimable', 'The queue already runs as many jobs as it may.', 'Try again when one has finished.');
  end if;

  if v_job.msg_id is not null then
    -- Its ready message gives way to one that is hidden from the start.
    perform pgmq.delete(v_job.queue, v_job.msg_id);
  end if;
  v_msg_ids := filaviva.send_messages(v_job.queue, array[p_job_id], filaviva.hidden_seconds(v_queue));
  return jsonb_build_object(
    'jobs', filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, array[p_job_id], v_msg_ids),
    'next_due_in_ms', null, 'state', 'ok');
end
$$;

COMMENT ON FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) IS 'Takes one job by its id, or says why it cannot be had now.';

REVOKE ALL ON FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) TO service_role;
