-- Cool-downs as they are asked for: put a queue under a limit that counts jobs, let a key cool down, and see why a job waits.

drop function public.limit_queue(text, text, text);
drop function filaviva.limit_queue(text, text, text);

create function filaviva.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  if not exists (select from public.rate_limiters l where l.name = p_limiter) then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  if p_key is null then
    delete from public.queue_limits q where q.queue = p_queue and q.limiter = p_limiter;
  elsif not filaviva.is_limit_key(p_key) then
    perform filaviva.fail(400, 'invalid_field',
      'p_key must be queue, kind, user_id, company_id, instance_id, group_key, a path such as payload.platform, or several joined with +.',
      'Say where in a job the key stands.');
  elsif p_counts is null or p_counts not in ('claims', 'jobs') then
    perform filaviva.fail(400, 'invalid_field', 'p_counts must be claims or jobs.', 'Say what is counted.');
  else
    insert into public.queue_limits (queue, limiter, key, counts) values (p_queue, p_limiter, p_key, p_counts)
    on conflict (queue, limiter, key) do update set counts = excluded.counts;
  end if;
  perform filaviva.wake_parked(p_limiter);
end
$$;
comment on function filaviva.limit_queue(text, text, text, text) is
  'Puts the jobs of a queue under a limit, counted by the key that p_key names in each job, by claims or by jobs; a null key takes the queue out from under it.';

create or replace function filaviva.rate_limit_status(p_limiter text, p_key text) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_limiter public.rate_limiters;
  v_left record;
begin
  -- A joined key begins with the user id where it has one.
  if not filaviva.is_operator() and split_part(p_key, ':', 1) is distinct from filaviva.caller_id()::text
    and not exists (select from public.jobs j where j.user_id = filaviva.caller_id() and j.instance_id = p_key)
  then
    perform filaviva.fail(403, 'not_your_key', 'The key is not yours.', 'Ask with your own user id, or an instance that one of your jobs names.');
  end if;
  select * into v_limiter from public.rate_limiters l where l.name = p_limiter;
  if not found then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  select * into v_left from filaviva.allowance(v_limiter, filaviva.fold_key(p_key), v_now);
  return jsonb_build_object(
    'allowed', v_left.remaining > 0, 'remaining', greatest(v_left.remaining, 0), 'limit', v_limiter.max_hits, 'window_seconds', v_limiter.window_seconds,
    'retry_after', case when v_left.remaining > 0 then 0 else ceil(extract(epoch from v_left.next_at - v_now))::int end
  );
end
$$;
comment on function filaviva.rate_limit_status(text, text) is
  'How a key stands under a limit, its cool-down included: {allowed, remaining, limit, window_seconds, retry_after}, the last in seconds and 0 when allowed. For operators, and users about themselves.';

create function filaviva.why_limited(p_job public.jobs, p_ahead int) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_limiter public.rate_limiters;
  v_parked filaviva.parked_keys;
  v_cool filaviva.cool_downs;
begin
  select * into v_limiter from public.rate_limiters l where l.name = split_part(p_job.blocked_by, ':', 2);
  select * into v_parked from filaviva.parked_keys k where k.queue = p_job.queue and p_job.blocked_by = 'limit:' || k.limiter || ':' || k.key;
  select * into v_cool from filaviva.cool_downs c where c.limiter = v_parked.limiter and c.key = v_parked.key and c.until > filaviva.now();
  return jsonb_build_object('reason', 'limit', 'key', p_job.blocked_by, 'ahead', p_ahead,
    'expected_at', greatest(v_parked.next_at, v_cool.until)
      + (p_ahead / v_limiter.max_hits) * (make_interval(secs => v_limiter.window_seconds) + filaviva.start_slack()),
    'details', jsonb_build_object('limiter', v_limiter.name, 'limit', v_limiter.max_hits, 'window_seconds', v_limiter.window_seconds)
      || case when v_cool.until is null then '{}' else jsonb_build_object('cools_until', v_cool.until, 'because', v_cool.reason) end);
end
$$;
comment on function filaviva.why_limited(public.jobs, int) is 'Why a parked job waits: its limit, and the cool-down where there is one.';

create or replace function filaviva.why_waiting(p_job_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
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

create function public.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text default 'claims') returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.limit_queue(p_queue, p_limiter, p_key, p_counts) $$;

create function public.cool_down(p_limiter text, p_key text, p_until timestamptz, p_reason text default '') returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.cool_down(p_limiter, p_key, p_until, p_reason) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.limit_queue(text, text, text, text), public.cool_down(text, text, timestamptz, text)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.limit_queue(text, text, text, text) to authenticated, service_role;
grant execute on function public.limit_queue(text, text, text, text) to authenticated, service_role;
grant execute on function public.cool_down(text, text, timestamptz, text) to service_role;
