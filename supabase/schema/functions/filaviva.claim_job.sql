CREATE FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_job public.jobs;
  v_queue public.queues;
  v_earlier filaviva.claim_requests;
  v_admission filaviva.admission;
begin
  if p_request_id is null then
    perform filaviva.fail(400, 'invalid_field', 'p_request_id must be a uuid.', 'Make a new one for each claim, and repeat it only to repeat that claim.');
  end if;
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return json_build_object('jobs', filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids), 'next_due_in_ms', null, 'state', 'ok');
  end if;
  -- What it waits for may be over by now.
  perform filaviva.release_jobs(j.queue, v_now, 100) from public.jobs j where j.id = p_job_id and j.finished_at is null;
  perform from filaviva.job_groups g where g.active_job_id = p_job_id for update skip locked;  -- groups before jobs
  perform from public.jobs j where j.id = p_job_id for update skip locked;
  if not found then
    if not exists (select from public.jobs j where j.id = p_job_id) then
      perform filaviva.fail(404, 'unknown_job', format('There is no job %s.', p_job_id), 'Check the id; finished jobs are pruned after their retention.');
    end if;
    perform filaviva.fail(409, 'not_claimable', 'The job is being changed by another call.', 'Try again in a moment.');
  end if;
  perform filaviva.expire(array[p_job_id], v_now);
  select * into v_job from public.jobs j where j.id = p_job_id;
  select * into v_queue from public.queues q where q.name = v_job.queue;
  if v_job.status not in ('pending', 'retrying') or v_job.next_run_at is not null or v_job.blocked_by is not null then
    perform filaviva.fail(409, 'not_claimable',
      case
        when v_job.finished_at is not null then format('The job is over: %s.', coalesce(v_job.error_code, v_job.status))
        when v_job.status = 'processing' then 'The job is being processed.'
        else format('The job waits: %s.', coalesce(v_job.waiting_reason, 'not due'))
      end,
      'Call without a job_id to process what is due.');
  end if;
  if v_queue.paused_at is not null then
    perform filaviva.fail(409, 'not_claimable', 'The queue is paused.', 'Try again when it was resumed.');
  end if;
  if v_queue.concurrency is not null and not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(v_job.queue)) then
    perform filaviva.fail(409, 'not_claimable', 'The queue is being claimed by another call.', 'Try again in a moment.');
  end if;
  if v_queue.concurrency <= filaviva.running(v_job.queue) then
    perform filaviva.fail(409, 'not_claimable', 'The queue already runs as many jobs as it may.', 'Try again when one has finished.');
  end if;
  v_admission := filaviva.admit(v_job.queue, array[p_job_id], 1);
  if v_admission.admitted = '{}' then
    perform filaviva.fail(409, 'not_claimable', 'A rate limit of the queue does not allow the job now.', 'why_waiting() says which one, and until when.');
  end if;

  -- Its place, or its ready message, gives way to a message that is hidden from the start.
  perform filaviva.leave_line(array[p_job_id]);
  perform pgmq.delete(v_job.queue, v_job.msg_id) where v_job.msg_id is not null;
  return json_build_object(
    'jobs', filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, array[p_job_id],
      filaviva.send_messages(v_job.queue, array[p_job_id], filaviva.hidden_seconds(v_queue))),
    'next_due_in_ms', null, 'state', 'ok');
end
$$;

COMMENT ON FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) IS 'Takes one job by its id, or says why it cannot be had now.';

REVOKE ALL ON FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) TO service_role;
