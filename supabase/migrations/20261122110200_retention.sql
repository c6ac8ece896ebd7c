-- Retention: finished jobs go when their queue's time for their status is over, and operators may
-- delete finished jobs or empty a queue by hand.
--
-- What is past its time is found by walking jobs in order of enqueue (jobs_by_seq), not by an index
-- over status or finished_at: such an index would turn every settle into a write of all indexes. The
-- walk costs little. A job can only be past its time when it is older than the shortest retention, so
-- it reads the old end of the table, remembers how far it came, and starts over where the young begin.
-- Deletes of a published table are streamed, so it removes at most 500 rows a second.

create table filaviva.prune_cursor (
  only_row boolean primary key default true constraint there_is_one_cursor check (only_row),
  after_seq bigint not null default 0
);
comment on table filaviva.prune_cursor is 'How far the walk of retention has read jobs; 0 when it starts over.';
alter table filaviva.prune_cursor enable row level security;
insert into filaviva.prune_cursor default values;

create function filaviva.delete_finished(p_job_ids uuid[]) returns uuid[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_ids uuid[] := array(
    select j.id from public.jobs j
    where j.id = any (p_job_ids) and j.finished_at is not null
      and not exists (select from filaviva.job_groups g where g.active_job_id = j.id)  -- the sweep frees that group first
    order by j.seq
    for update skip locked
  );
begin
  delete from public.jobs j where j.id = any (v_ids);
  return v_ids;
end
$$;
comment on function filaviva.delete_finished(uuid[]) is
  'Deletes jobs that are still finished once they are locked, with their attempts; answers which. It never waits: one that is being redriven stays.';

create function filaviva.prune_walk(p_after bigint, p_rows int, p_limit int, out pruned int, out next_after bigint)
language plpgsql volatile
set search_path = ''
as $$
declare
  c_slice constant int := 1000;
  v_now constant timestamptz := filaviva.now();
  v_young constant timestamptz := v_now - (select min(least(q.retention_completed, q.retention_failed)) from public.queues q);
  v_until constant timestamptz := clock_timestamp() + interval '1 second';
  v_slice record;
  v_read int := 0;
begin
  pruned := 0;
  next_after := p_after;
  while pruned < p_limit and v_read < p_rows and clock_timestamp() < v_until loop
    select count(*) as n, max(s.seq) as last_seq, max(s.created_at) as youngest,
      coalesce(array_agg(s.id order by s.seq) filter (where s.is_over), '{}') as over
    into v_slice
    from (
      select j.seq, j.id, j.created_at,
        j.finished_at < v_now - case when j.status in ('failed', 'unconfirmed') then q.retention_failed else q.retention_completed end as is_over
      from (select * from public.jobs o where o.seq > next_after order by o.seq limit c_slice) j
      join public.queues q on q.name = j.queue
    ) s;
    if cardinality(v_slice.over) > p_limit - pruned then
      -- Not all of the slice: the next walk begins here again.
      pruned := pruned + cardinality(filaviva.delete_finished(v_slice.over[1:p_limit - pruned]));
      return;
    end if;
    pruned := pruned + cardinality(filaviva.delete_finished(v_slice.over));
    v_read := v_read + v_slice.n;
    if v_slice.n < c_slice or v_slice.youngest > v_young then
      next_after := 0;
      return;
    end if;
    next_after := v_slice.last_seq;
  end loop;
end
$$;
comment on function filaviva.prune_walk(bigint, int, int) is
  'Reads at most p_rows jobs in order of enqueue after a place, and deletes at most p_limit that are past their retention, for about a second. Answers how many went and where to go on; 0 when the walk is over.';

create function filaviva.prune_next(p_limit int) returns int
language plpgsql security definer
set search_path = ''
as $$
declare
  v_cursor filaviva.prune_cursor;
  v_walk record;
begin
  select * into v_cursor from filaviva.prune_cursor for update skip locked;
  if not found then
    return 0;  -- another walk is under way
  end if;
  select * into v_walk from filaviva.prune_walk(v_cursor.after_seq, 20000, p_limit);
  update filaviva.prune_cursor set after_seq = v_walk.next_after where after_seq <> v_walk.next_after;
  return v_walk.pruned;
end
$$;
comment on function filaviva.prune_next(int) is
  'The next step of retention, run by cron every 10 seconds: reads at most 20,000 old jobs, deletes at most p_limit that are past their time, and remembers where it stopped. Answers how many it deleted.';

create or replace function filaviva.prune(p_limit int) returns int
language plpgsql security definer
set search_path = ''
as $$
begin
  return (select w.pruned from filaviva.prune_walk(0, 2147483647, p_limit) w);
end
$$;
comment on function filaviva.prune(int) is
  'Deletes finished jobs past their queue''s retention now, oldest first, at most p_limit of them and for about a second; answers how many. Below p_limit and under a second: none is left.';

create function filaviva.prune_history() returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
begin
  delete from filaviva.claim_requests r where r.created_at < clock_timestamp() - interval '1 hour';
  delete from filaviva.kick_marks;
  delete from cron.job_run_details d where coalesce(d.end_time, d.start_time) < clock_timestamp() - interval '7 days';
  delete from public.alerts a where a.resolved_at < v_now - interval '30 days';
  perform filaviva.prune_messages();
end
$$;
comment on function filaviva.prune_history() is
  'Run by cron every day at 02:00: forgets what claims answered, marks of kicks, runs of cron after 7 days, alerts that were over 30 days ago, and messages of no living job.';

delete from filaviva.schedules where name = 'filaviva_prune';
insert into filaviva.schedules (name, schedule, command) values
  ('filaviva_prune', '0 2 * * *', 'select filaviva.prune_history()'),
  ('filaviva_retention', '10 seconds', 'select filaviva.prune_next(5000)');
select filaviva.schedule_all();

-- By hand ---------------------------------------------------------------------------------------

create function filaviva.prune_jobs(p_filter jsonb, p_limit int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_ids uuid[];
begin
  perform filaviva.require_operator();
  select coalesce(array_agg(f.id), '{}'), max(f.seq) into v_found, v_last
  from filaviva.find_jobs(p_filter, array['completed', 'failed', 'cancelled', 'unconfirmed'], v_limit) f;
  v_ids := filaviva.delete_finished(v_found);
  return jsonb_build_object(
    'matched', cardinality(v_found),
    'changed', cardinality(v_ids),
    'job_ids', to_jsonb(v_ids),
    'cursor', case when cardinality(v_found) = v_limit then v_last end
  );
end
$$;
comment on function filaviva.prune_jobs(jsonb, int) is
  'For operators: deletes finished jobs that match, whatever their age, at most 1,000 a call; call again while there is a cursor. Unfinished jobs are never deleted.';

create function filaviva.waiting_jobs(p_queue text, p_limit int) returns uuid[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select w.id from (
      (select j.id from filaviva.due_jobs d join public.jobs j on j.id = d.job_id
        where d.queue = p_queue and j.committed_at is null order by d.priority desc, d.turn, d.seq limit p_limit)
      union all
      (select j.id from public.jobs j where j.queue = p_queue and j.next_run_at is not null and j.committed_at is null
        order by j.next_run_at limit p_limit)
      union all
      (select j.id from public.jobs j where j.queue = p_queue and j.blocked_by is not null and j.committed_at is null
        order by j.blocked_by, j.priority desc, j.seq limit p_limit)
      union all
      (select j.id from public.jobs j
        where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'ready', p_limit) d))
          and j.status in ('pending', 'retrying') and j.msg_id is not null and j.committed_at is null)
    ) w
    limit p_limit
  );
end
$$;
comment on function filaviva.waiting_jobs(text, int) is 'Jobs of a queue that wait and may still be cancelled; found in the line, the partial indexes and the window.';

create function filaviva.purge_queue(p_queue text, p_dry_run boolean) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  c_limit constant int := 1000;
  v_found uuid[];
  v_ids uuid[] := '{}';
  v_waiting bigint;
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  v_found := filaviva.waiting_jobs(p_queue, c_limit);
  if p_dry_run is false then
    perform filaviva.lock_jobs(v_found);
    v_ids := array(
      select j.id from public.jobs j
      where j.id = any (v_found) and j.status in ('pending', 'retrying') and j.committed_at is null
      order by j.seq
    );
    perform filaviva.cancel_waiting(v_ids, filaviva.now());
  else
    select w.due + w.later + w.blocked into v_waiting from filaviva.waiting_counts(p_queue) w;
  end if;
  return jsonb_build_object(
    'matched', coalesce(v_waiting, cardinality(v_found)),
    'changed', cardinality(v_ids),
    'job_ids', to_jsonb(case when p_dry_run is false then v_ids else v_found end),
    'cursor', case when p_dry_run is false and cardinality(v_found) = c_limit then (select max(j.seq) from public.jobs j where j.id = any (v_found)) end
  );
end
$$;
comment on function filaviva.purge_queue(text, boolean) is
  'For operators, dangerous: cancels every job of a queue that waits (pending or retrying), at most 1,000 a call; call again while there is a cursor. Their rows stay, as cancelled, until retention. Jobs that run go on, and so do those past their point of no return, which only look for their end. A dry run, which is the default, counts what waits and names the first 1,000.';

create function public.prune_jobs(p_filter jsonb, p_limit int default 1000) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.prune_jobs(p_filter, p_limit) $$;
comment on function public.prune_jobs(jsonb, int) is 'Deletes finished jobs that match; for operators. Answers {matched, changed, job_ids, cursor}.';

create function public.purge_queue(p_queue text, p_dry_run boolean default true) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.purge_queue(p_queue, p_dry_run) $$;
comment on function public.purge_queue(text, boolean) is 'Cancels every waiting job of a queue unless it is a dry run; for operators. Answers {matched, changed, job_ids, cursor}.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.prune_jobs(jsonb, int), public.purge_queue(text, boolean)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.prune_jobs(jsonb, int), filaviva.purge_queue(text, boolean) to authenticated, service_role;
grant execute on function public.prune_jobs(jsonb, int), public.purge_queue(text, boolean) to authenticated, service_role;
