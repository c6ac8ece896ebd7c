-- Release, second edition: what waited may run now and joins the line: jobs whose time has come,
-- the next of each group, and of each limit as many as it allows. Every claim and the tick begin
-- with it. It never waits on a lock: what another session holds comes at the next turn.

create or replace function filaviva.release_later(p_queue text, p_now timestamptz, p_limit int) returns int
language plpgsql volatile
set search_path = ''
set enable_seqscan = off  -- by the index of times, whatever the statistics of a table that was empty a moment ago
as $$
declare
  v_ids uuid[];
  v_groups text[];
  v_joining uuid[];
  v_lock_timeout constant text := current_setting('lock_timeout');
begin
  v_ids := array(
    select j.id from public.jobs j where j.queue = p_queue and j.next_run_at <= p_now order by j.next_run_at limit p_limit
  );
  if v_ids = '{}' then
    return 0;
  end if;

  -- A scheduled job of a group joins the line of its group now; until now it blocked nobody.
  v_joining := array(
    select j.id from public.jobs j
    where j.id = any (v_ids) and j.group_key is not null and not exists (
      select from filaviva.job_groups g where g.queue = j.queue and g.group_key = j.group_key and g.active_job_id = j.id
    )
  );
  if v_joining <> '{}' then
    begin
      -- The claim side does not wait, not even for a group that another session is just inserting.
      perform set_config('lock_timeout', '1ms', true);
      insert into filaviva.job_groups (queue, group_key, next_at)
      select distinct j.queue, j.group_key, p_now from public.jobs j where j.id = any (v_joining) order by 1, 2
      on conflict do nothing;
      perform set_config('lock_timeout', v_lock_timeout, true);
    exception when lock_not_available then
      null;  -- the groups that cannot be locked join at the next turn
    end;
    v_groups := array(
      select g.group_key from filaviva.job_groups g
      where g.queue = p_queue and g.group_key in (select j.group_key from public.jobs j where j.id = any (v_joining))
      for update skip locked
    );
  end if;

  v_ids := array(
    select j.id from public.jobs j
    where j.id = any (v_ids) and j.next_run_at <= p_now and (j.id <> all (v_joining) or j.group_key = any (v_groups))
    for update skip locked
  );
  update public.jobs j set
    next_run_at = null, blocked_by = 'group:' || j.group_key, waiting_reason = 'group', version = j.version + 1, updated_at = p_now
  where j.id = any (v_ids) and j.id = any (v_joining);
  perform filaviva.line_up(p_queue, array(select i from unnest(v_ids) i where i <> all (v_joining)));
  return cardinality(v_ids);
end
$$;
comment on function filaviva.release_later(text, timestamptz, int) is 'Moves jobs whose time has come into the line, or behind the head of their group.';

create or replace function filaviva.release_groups(p_queue text, p_now timestamptz, p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_groups text[];
  v_heads uuid[];
begin
  v_groups := array(
    select g.group_key from filaviva.job_groups g
    where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now
    order by g.next_at limit p_limit
    for update skip locked
  );
  if v_groups = '{}' then
    return 0;
  end if;

  v_heads := array(
    select (
      select j.id from public.jobs j where j.queue = p_queue and j.blocked_by = 'group:' || k.group_key
      order by j.priority desc, j.seq limit 1
    )
    from unnest(v_groups) as k(group_key)
  );
  v_heads := array(select j.id from public.jobs j where j.id = any (v_heads) and j.blocked_by is not null for update skip locked);
  perform filaviva.line_up(p_queue, v_heads);
  update filaviva.job_groups g set active_job_id = j.id
  from public.jobs j where j.id = any (v_heads) and g.queue = p_queue and g.group_key = j.group_key;
  -- Nobody waits and the gap is over: the group starts anew with its next job.
  delete from filaviva.job_groups g
  where g.queue = p_queue and g.group_key = any (v_groups) and g.active_job_id is null and not exists (
    select from public.jobs j where j.queue = p_queue and j.blocked_by = 'group:' || g.group_key
  );
  return cardinality(v_heads);
end
$$;

create function filaviva.release_limits(p_queue text, p_now timestamptz, p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_parked record;
  v_left record;
  v_ids uuid[];
  v_released int := 0;
begin
  for v_parked in
    select k.limiter, k.key, l as rule
    from filaviva.parked_keys k left join public.rate_limiters l on l.name = k.limiter
    where k.queue = p_queue and k.next_at <= p_now
    order by k.next_at limit least(p_limit, 200)
    for update of k skip locked
  loop
    -- Who parks under a key holds its lock until it commits: without it, what is parked meanwhile would be left without its row.
    continue when not filaviva.try_key(v_parked.limiter, v_parked.key);
    select * into v_left from filaviva.allowance(v_parked.rule, v_parked.key, p_now);
    if not exists (select from public.queue_limits l where l.queue = p_queue and l.limiter = v_parked.limiter) then
      v_left.remaining := 1000;  -- the queue is no longer under this limit
      v_left.next_at := p_now;
    end if;
    v_ids := array(
      select j.id from public.jobs j
      where j.queue = p_queue and j.blocked_by = 'limit:' || v_parked.limiter || ':' || v_parked.key
      order by j.priority desc, j.seq limit least(greatest(v_left.remaining, 0), p_limit)
      for update skip locked
    );
    perform filaviva.line_up(p_queue, v_ids);
    v_released := v_released + cardinality(v_ids);
    if exists (select from public.jobs j where j.queue = p_queue and j.blocked_by = 'limit:' || v_parked.limiter || ':' || v_parked.key) then
      -- The next one comes with the next hit that stops counting, or in a moment when somebody did not take what was left.
      update filaviva.parked_keys k set next_at = case
        when cardinality(v_ids) >= p_limit then p_now
        when v_left.remaining > 0 then p_now + interval '1 second'
        else greatest(v_left.next_at, p_now + interval '100 milliseconds') end
      where k.queue = p_queue and k.limiter = v_parked.limiter and k.key = v_parked.key;
    else
      delete from filaviva.parked_keys k where k.queue = p_queue and k.limiter = v_parked.limiter and k.key = v_parked.key;
    end if;
  end loop;
  return v_released;
end
$$;
comment on function filaviva.release_limits(text, timestamptz, int) is 'Lets as many parked jobs of each key into the line as its limit allows again.';

create function filaviva.release_jobs(p_queue text, p_now timestamptz, p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
begin
  return filaviva.release_later(p_queue, p_now, p_limit) + filaviva.release_groups(p_queue, p_now, p_limit)
    + filaviva.release_limits(p_queue, p_now, p_limit);
end
$$;
comment on function filaviva.release_jobs(text, timestamptz, int) is 'All that may join the line of a queue now, at most p_limit of each sort; answers how many moved.';

-- Expiry ----------------------------------------------------------------------------------------

create function filaviva.expire(p_job_ids uuid[], p_now timestamptz) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_ids uuid[] := array(
    select j.id from public.jobs j
    where j.id = any (p_job_ids) and j.status in ('pending', 'retrying') and j.committed_at is null and j.expires_at <= p_now
  );
begin
  perform filaviva.cancel_waiting(v_ids, p_now);
  update public.jobs j set
    version = j.version + 1, cancel_requested_at = null, error_code = 'expired', error_message = 'The job had not started by its expires_at.'
  where j.id = any (v_ids);
  return cardinality(v_ids);
end
$$;
comment on function filaviva.expire(uuid[], timestamptz) is 'Cancels those of some locked jobs that still wait after their expiry; one past its point of no return goes on.';

create function filaviva.expire_jobs(p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_due record;
  v_expired int := 0;
begin
  with due as (
    select e.ctid from filaviva.expiries e where e.expires_at <= v_now order by e.expires_at limit p_limit for update skip locked
  ), gone as (
    delete from filaviva.expiries e using due d where e.ctid = d.ctid returning e.job_id
  )
  select array_agg(g.job_id) as ids into v_due from gone g;
  if v_due.ids is not null then
    perform filaviva.lock_jobs(v_due.ids);
    v_expired := filaviva.expire(v_due.ids, v_now);
  end if;
  return v_expired;
end
$$;
comment on function filaviva.expire_jobs(int) is 'Cancels jobs that were not started by their expires_at; answers how many. One that runs at that time is not stopped, but its next attempt is.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
