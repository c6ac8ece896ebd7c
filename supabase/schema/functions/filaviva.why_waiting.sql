CREATE FUNCTION filaviva.why_waiting(p_job_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_job public.jobs;
  v_queue public.queues;
  v_ahead int;
  v_next_at timestamptz;
  v_answer jsonb := jsonb_build_object('reason', null, 'key', null, 'expected_at', null, 'ahead', null, 'details', '{}'::jsonb);
begin
  select * into v_job from public.jobs j where j.id = p_job_id and (
    filaviva.is_operator() or j.user_id = filaviva.caller_id() or j.company_id in (select filaviva.my_companies()));
  if not found then
    perform filaviva.fail(404, 'unknown_job', format('There is no job %s.', p_job_id), 'Check the id; finished jobs are pruned after their retention.');
  end if;
  select * into v_queue from public.queues q where q.name = v_job.queue;
  if v_job.finished_at is not null then
    return v_answer || jsonb_build_object('reason', 'finished', 'details', jsonb_build_object('status', v_job.status));
  elsif v_job.status = 'processing' then
    return v_answer || jsonb_build_object('reason', 'processing', 'details', jsonb_build_object('since', v_job.started_at));
  elsif v_queue.paused_at is not null then
    return v_answer || jsonb_build_object('reason', 'paused', 'key', v_job.queue, 'details', jsonb_build_object('since', v_queue.paused_at));
  elsif v_job.next_run_at is not null then
    return v_answer || jsonb_build_object('reason', coalesce(v_job.waiting_reason, 'scheduled'), 'expected_at', v_job.next_run_at);
  elsif v_job.blocked_by is not null then
    v_ahead := (
      select count(*) from public.jobs j
      where j.queue = v_job.queue and j.blocked_by = v_job.blocked_by and (-j.priority, j.seq) < (-v_job.priority, v_job.seq)
    );
  end if;

  if v_job.blocked_by like 'group:%' then
    select case when g.active_job_id is null then g.next_at end into v_next_at
    from filaviva.job_groups g where g.queue = v_job.queue and g.group_key = v_job.group_key;
    return v_answer || jsonb_build_object('reason', 'group', 'key', v_job.group_key,
      'ahead', v_ahead + case when v_next_at is null then 1 else 0 end, 'expected_at', case when v_ahead = 0 then v_next_at end);
  elsif v_job.blocked_by is not null then
    return v_answer || filaviva.why_limited(v_job, v_ahead);
  end if;
  return v_answer || filaviva.why_in_line(v_job, v_queue, v_now);
end
$$;

COMMENT ON FUNCTION filaviva.why_waiting(p_job_id uuid) IS 'Why a job is not running, for its owner: {reason, key, expected_at, ahead, details}. Reasons: scheduled, backoff, polling, reconcile (a time), group, limit, paused, concurrency, in_line, no_drain; processing or finished when it waits for nothing.';

REVOKE ALL ON FUNCTION filaviva.why_waiting(p_job_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.why_waiting(p_job_id uuid) TO authenticated;
GRANT ALL ON FUNCTION filaviva.why_waiting(p_job_id uuid) TO service_role;
