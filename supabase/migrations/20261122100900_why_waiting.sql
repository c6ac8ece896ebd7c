-- Why a job waits, for the person who looks at it: the reason, what it waits for, and when it may go on.

create function filaviva.ahead_in_line(p_job public.jobs) returns int
language plpgsql stable
set search_path = ''
as $$
declare
  c_most constant int := 10000;
  v_in_line int := (
    select count(*) from (
      select from filaviva.due_jobs d
      where d.queue = p_job.queue and d.priority >= p_job.priority
        and (d.priority > p_job.priority or (d.turn, d.seq) < (p_job.fair_tag, p_job.seq))
      limit c_most
    ) a
  );
begin
  return v_in_line + (
    select count(*) from filaviva.deliveries(p_job.queue, 'ready') d join public.jobs j on j.id = d.job_id
    where p_job.priority = 0 and j.id <> p_job.id and (j.fair_tag, j.seq) < (p_job.fair_tag, p_job.seq)
  );
end
$$;
comment on function filaviva.ahead_in_line(public.jobs) is 'How many due jobs come before a due one; counted up to 10,000.';

create function filaviva.expected_at(p_queue text, p_ahead int, p_now timestamptz) returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  v_per_second numeric := (
    select sum(c.completed + c.failed + c.cancelled + c.unconfirmed) / 60.0 from filaviva.settle_counts c
    where c.queue = p_queue and c.at > p_now - interval '1 minute'
  );
begin
  return case when v_per_second > 0 then p_now + make_interval(secs => (p_ahead / v_per_second)::double precision) end;
end
$$;
comment on function filaviva.expected_at(text, int, timestamptz) is 'When so many jobs of a queue will have ended, at the pace of its last minute; null when none has.';

create function filaviva.why_in_line(p_job public.jobs, p_queue public.queues, p_now timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_ahead int := filaviva.ahead_in_line(p_job);
  v_running int := filaviva.running(p_job.queue);
  v_claimed_at timestamptz := (select c.claimed_at from filaviva.claim_times c where c.queue = p_job.queue);
begin
  return jsonb_build_object('ahead', v_ahead, 'expected_at', filaviva.expected_at(p_job.queue, v_ahead, p_now)) || case
    when v_running >= p_queue.concurrency
      then jsonb_build_object('reason', 'concurrency', 'key', p_job.queue, 'details', jsonb_build_object('running', v_running, 'concurrency', p_queue.concurrency))
    -- The tick wakes a drain every ten seconds: twice that without a claim means that none comes.
    when coalesce(v_claimed_at, p_job.updated_at) < p_now - interval '20 seconds'
      then jsonb_build_object('reason', 'no_drain', 'key', p_job.queue, 'expected_at', null, 'details', jsonb_build_object(
        'seconds', floor(extract(epoch from p_now - coalesce(v_claimed_at, p_job.updated_at)))::int))
    else jsonb_build_object('reason', 'in_line', 'key', p_job.queue)
  end;
end
$$;
comment on function filaviva.why_in_line(public.jobs, public.queues, timestamptz) is 'Why a due job does not run yet: others are before it, all slots are taken, or nobody asks for work.';

create function filaviva.why_waiting(p_job_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_job public.jobs;
  v_queue public.queues;
  v_ahead int;
  v_limiter public.rate_limiters;
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
    select * into v_limiter from public.rate_limiters l where l.name = split_part(v_job.blocked_by, ':', 2);
    select k.next_at into v_next_at from filaviva.parked_keys k
    where k.queue = v_job.queue and v_job.blocked_by = 'limit:' || k.limiter || ':' || k.key;
    return v_answer || jsonb_build_object('reason', 'limit', 'key', v_job.blocked_by, 'ahead', v_ahead,
      'expected_at', v_next_at + (v_ahead / v_limiter.max_hits) * (make_interval(secs => v_limiter.window_seconds) + filaviva.start_slack()),
      'details', jsonb_build_object('limiter', v_limiter.name, 'limit', v_limiter.max_hits, 'window_seconds', v_limiter.window_seconds));
  end if;
  return v_answer || filaviva.why_in_line(v_job, v_queue, v_now);
end
$$;
comment on function filaviva.why_waiting(uuid) is
  'Why a job is not running, for its owner: {reason, key, expected_at, ahead, details}. Reasons: scheduled, backoff, polling, reconcile (a time), group, limit, paused, concurrency, in_line, no_drain; processing or finished when it waits for nothing.';

create function public.why_waiting(p_job_id uuid) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.why_waiting(p_job_id) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.why_waiting(uuid)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.why_waiting(uuid) to authenticated, service_role;
grant execute on function public.why_waiting(uuid) to authenticated, service_role;
