-- Metrics: how long each queue is, how fast it moves, and whether that gets better or worse.
-- Nothing here reads jobs at large: waiting jobs are counted in the line and in partial indexes,
-- running ones through their messages, and what ended through settle_counts. A sample a minute
-- keeps the sizes for the trend, and folds the counts into buckets of ten seconds, kept for a day.

create table filaviva.queue_samples (
  at timestamptz not null,
  queue text not null,
  size bigint,
  completed bigint not null default 0,
  failed bigint not null default 0,
  cancelled bigint not null default 0,
  unconfirmed bigint not null default 0,
  again bigint not null default 0,
  primary key (at, queue)
);
comment on table filaviva.queue_samples is 'What ended within ten seconds from `at`, and the size of the queue in the buckets where it was taken. Kept for a day.';
alter table filaviva.queue_samples enable row level security;

create view filaviva.settled with (security_invoker = true) as
select c.queue, c.at, c.completed, c.failed, c.cancelled, c.unconfirmed, c.again from filaviva.settle_counts c
union all
select s.queue, s.at, s.completed, s.failed, s.cancelled, s.unconfirmed, s.again from filaviva.queue_samples s;
comment on view filaviva.settled is 'All counts of ended claims of the last day: the newest as they were settled, older ones in buckets of ten seconds.';

-- What waits ------------------------------------------------------------------------------------

create function filaviva.waiting_counts(p_queue text, out due bigint, out later bigint, out blocked bigint, out processing bigint)
language plpgsql stable
set search_path = ''
as $$
begin
  select count(*) filter (where j.status in ('pending', 'retrying')), count(*) filter (where j.status = 'processing')
  into due, processing
  from public.jobs j
  where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue) d)) and j.msg_id is not null and j.finished_at is null;
  due := due + (select count(*) from filaviva.due_jobs d where d.queue = p_queue);
  later := (select count(*) from public.jobs j where j.queue = p_queue and j.next_run_at is not null);
  blocked := (select count(*) from public.jobs j where j.queue = p_queue and j.blocked_by is not null);
end
$$;
comment on function filaviva.waiting_counts(text) is
  'Unfinished jobs of a queue by their place: due (may run now), later (wait for a time), blocked (behind their group or a limit), processing.';

create function filaviva.due_since(p_queue text, p_now timestamptz) returns timestamptz
language plpgsql stable
set search_path = ''
set enable_seqscan = off  -- the line fills and empties faster than its statistics: read it by its index
set enable_sort = off
as $$
begin
  return (
    select min(w.since) from (
      select j.updated_at as since from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'ready', 100) d)) and j.status in ('pending', 'retrying')
      union all
      -- The longest waiting stands near the front of its priority, since every owner's first does.
      select j.updated_at
      from generate_series(0, 10) as p(priority),
        lateral (
          select d.job_id from filaviva.due_jobs d where d.queue = p_queue and d.priority = p.priority order by d.turn, d.seq limit 100
        ) f
        join public.jobs j on j.id = f.job_id
      union all
      -- Its time has come, and nobody has released it yet: a claim or the tick would have.
      select min(j.next_run_at) from public.jobs j where j.queue = p_queue and j.next_run_at is not null and j.next_run_at <= p_now
      union all
      select greatest(h.next_at, b.updated_at)
      from (
          (select 'group:' || g.group_key as blocked_by, g.next_at from filaviva.job_groups g
            where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now order by g.next_at limit 100)
          union all
          (select 'limit:' || k.limiter || ':' || k.key, k.next_at from filaviva.parked_keys k
            where k.queue = p_queue and k.next_at <= p_now order by k.next_at limit 100)
        ) h,
        lateral (
          select j.updated_at from public.jobs j where j.queue = p_queue and j.blocked_by = h.blocked_by order by j.priority desc, j.seq limit 1
        ) b
    ) w
  );
end
$$;
comment on function filaviva.due_since(text, timestamptz) is
  'Since when the longest waiting of the jobs that may run now could have run; null when none waits. Jobs scheduled ahead, backing off, behind a running head or under a spent limit do not count.';

-- Samples ---------------------------------------------------------------------------------------

create function filaviva.sample_queues() returns int
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_folded int;
begin
  if not pg_try_advisory_xact_lock(hashtext('filaviva.sample'), 0) then
    return 0;
  end if;
  -- A bounded share a call: after a long stop of cron the backlog goes over several minutes.
  with taken as (
    delete from filaviva.settle_counts c
    where c.ctid = any (array(
      select o.ctid from filaviva.settle_counts o where o.at < v_now - interval '1 minute' order by o.at limit 200000
    ))
    returning *
  ), folded as (
    insert into filaviva.queue_samples as s (at, queue, completed, failed, cancelled, unconfirmed, again)
    select date_bin('10 seconds', t.at, 'epoch'), t.queue, sum(t.completed), sum(t.failed), sum(t.cancelled), sum(t.unconfirmed), sum(t.again)
    from taken t group by 1, 2 order by 1, 2
    on conflict (at, queue) do update set
      completed = s.completed + excluded.completed, failed = s.failed + excluded.failed, cancelled = s.cancelled + excluded.cancelled,
      unconfirmed = s.unconfirmed + excluded.unconfirmed, again = s.again + excluded.again
  )
  select count(*) into v_folded from taken;
  insert into filaviva.queue_samples (at, queue, size)
  select date_bin('10 seconds', v_now, 'epoch'), q.name, w.due + w.later + w.blocked
  from public.queues q, lateral filaviva.waiting_counts(q.name) w
  on conflict (at, queue) do update set size = excluded.size;
  delete from filaviva.queue_samples s where s.at < v_now - interval '1 day';
  return v_folded;
end
$$;
comment on function filaviva.sample_queues() is
  'Run by cron every minute: notes each queue''s size, folds settle counts older than a minute into buckets, forgets buckets older than a day. Answers how many counts it folded.';

insert into filaviva.schedules (name, schedule, command) values ('filaviva_sample', '* * * * *', 'select filaviva.sample_queues()');
select filaviva.schedule_all();

-- Metrics ---------------------------------------------------------------------------------------

create function filaviva.queue_metrics(p_queue text) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  c_window constant interval := interval '5 minutes';
begin
  perform filaviva.require_operator();
  if p_queue is not null then
    perform filaviva.require_queue(p_queue);
  end if;
  return (
    with ended as (
      select e.queue, e.at > v_now - c_window as is_now,
        sum(e.completed + e.failed + e.cancelled + e.unconfirmed) as finished,
        sum(e.failed + e.unconfirmed) as bad, sum(e.completed + e.failed + e.unconfirmed) as judged
      from filaviva.settled e
      where e.at > v_now - 2 * c_window and e.at <= v_now
      group by 1, 2
    ), rates as (
      select e.queue, e.is_now,
        round(e.finished / (extract(epoch from c_window) / 60), 2) as processing_rate,
        coalesce(round(100.0 * e.bad / nullif(e.judged, 0), 2), 0) as error_rate
      from ended e
    )
    select coalesce(jsonb_agg(jsonb_build_object(
        'queue', q.name, 'paused', q.paused_at is not null,
        'size', w.due + w.later + w.blocked, 'due', w.due, 'later', w.later, 'blocked', w.blocked, 'processing', w.processing,
        'oldest_seconds', coalesce(greatest(0, round(extract(epoch from v_now - filaviva.due_since(q.name, v_now)), 1)), 0),
        'processing_rate', coalesce(n.processing_rate, 0), 'error_rate', coalesce(n.error_rate, 0),
        'queue_trend', w.due + w.later + w.blocked - (
          select s.size from filaviva.queue_samples s
          where s.queue = q.name and s.size is not null and s.at <= v_now - c_window and s.at > v_now - 2 * c_window
          order by s.at desc limit 1
        ),
        'processing_trend', coalesce(n.processing_rate, 0) - coalesce(b.processing_rate, 0),
        'error_trend', coalesce(n.error_rate, 0) - coalesce(b.error_rate, 0)
      ) order by q.name), '[]')
    from public.queues q
    cross join lateral filaviva.waiting_counts(q.name) w
    left join rates n on n.queue = q.name and n.is_now
    left join rates b on b.queue = q.name and not b.is_now
    where p_queue is null or q.name = p_queue
  );
end
$$;
comment on function filaviva.queue_metrics(text) is
  'For operators, one object a queue. size: pending and retrying jobs = due (may run now) + later (wait for a time) + blocked (behind their group or a limit). processing: jobs that run.
oldest_seconds: how long the longest waiting due job has been due; 0 when none is.
processing_rate: jobs that ended a minute, over the last 5 minutes, however they ended. error_rate: percent of the claims that ended a job as completed, failed or unconfirmed in those 5 minutes which ended it as failed or unconfirmed; retries, snoozes and cancellations are left out; 0 when none ended.
Trends compare with the 5 minutes before, above 0 when the figure grew: queue_trend in jobs (null until there is a sample of that age), processing_trend in jobs a minute, error_trend in percentage points. Exact to 10 seconds.';

create function public.queue_metrics(p_queue text default null) returns jsonb
language sql stable security invoker
set search_path = ''
as $$ select filaviva.queue_metrics(p_queue) $$;
comment on function public.queue_metrics(text) is 'How long each queue is, how fast it moves, and the trends; for operators. One object a queue.';

-- Counts by status ------------------------------------------------------------------------------

create or replace function public.queue_stats(p_filter jsonb default '{}') returns jsonb
language plpgsql stable security invoker
set search_path = ''
as $$
declare
  c_known constant text[] := array['queue', 'kind', 'user_id', 'company_id', 'instance_id', 'group_key', 'created_before', 'created_after'];
  v_wrong text;
  v_filter record;
  v_owner uuid := case when not filaviva.is_operator() and not coalesce(p_filter ? 'company_id', false) then auth.uid() end;
begin
  if p_filter is null or jsonb_typeof(p_filter) <> 'object' then
    perform filaviva.fail(400, 'invalid_field', 'The filter must be an object.', 'Send {} to count every job that you may see.');
  end if;
  select k.key into v_wrong from jsonb_object_keys(p_filter) as k(key) where k.key <> all (c_known) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('The filter has an unknown condition %L.', v_wrong), 'The conditions are ' || array_to_string(c_known, ', ') || '.');
  end if;
  select k.key into v_wrong from jsonb_each(p_filter) as k(key, value) where k.value = 'null' limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('The condition %L is null.', v_wrong), 'Leave out what should not matter.');
  end if;
  begin
    select * into v_filter from jsonb_to_record(p_filter) as f(
      queue text, kind text, user_id uuid, company_id uuid, instance_id text, group_key text, created_before timestamptz, created_after timestamptz);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'The filter cannot be read: ' || sqlerrm || '.', 'Ids are uuids; times are ISO 8601.');
  end;
  return (
    select jsonb_object_agg(s.status, coalesce(c.n, 0)) || jsonb_build_object('total', coalesce(sum(c.n), 0))
    from unnest(array['pending', 'processing', 'retrying', 'completed', 'failed', 'cancelled', 'unconfirmed']) as s(status)
    left join (
      select j.status, count(*) as n from public.jobs j
      where (v_owner is null or j.user_id = v_owner)
        and (v_filter.queue is null or j.queue = v_filter.queue)
        and (v_filter.kind is null or j.kind = v_filter.kind)
        and (v_filter.user_id is null or j.user_id = v_filter.user_id)
        and (v_filter.company_id is null or j.company_id = v_filter.company_id)
        and (v_filter.instance_id is null or j.instance_id = v_filter.instance_id)
        and (v_filter.group_key is null or j.group_key = v_filter.group_key)
        and (v_filter.created_before is null or j.created_at < v_filter.created_before)
        and (v_filter.created_after is null or j.created_at > v_filter.created_after)
      group by j.status
    ) c on c.status = s.status
  );
end
$$;
comment on function public.queue_stats(jsonb) is
  'Counts of jobs by status, zero-filled, with their total. A user''s own jobs; with company_id those of that company which the user may see; an operator''s filter reaches every owner''s.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.queue_metrics(text), public.queue_stats(jsonb)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.queue_metrics(text) to authenticated, service_role;
grant execute on function public.queue_metrics(text), public.queue_stats(jsonb) to authenticated, service_role;
