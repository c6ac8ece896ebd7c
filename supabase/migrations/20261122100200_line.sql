-- The line: jobs that are due and wait in the table stand here, one narrow row each. Taking a job
-- from the line changes no index of jobs, which halves the cost of a claim; and its place in the
-- line is where owners are treated fairly.
--
-- fair_tag is a job's turn among those of its queue and priority. Turns are handed out so that no
-- owner waits behind another's backlog: a new job gets one more than its owner's last turn in the
-- line, or than the line's front when the owner has none there. A job that comes back, from a
-- backoff or a limit, takes the turn that it had, or the front's when the line has not come so far.
-- Equal turns go by order of enqueue. Nobody can be overtaken for ever: a turn is handed out only
-- while the front is below it.

create table filaviva.due_jobs (
  queue text not null,
  priority smallint not null,
  turn bigint not null,
  seq bigint not null,
  job_id uuid not null,
  owner uuid not null
);
create unique index due_jobs_in_order on filaviva.due_jobs (queue, priority desc, turn, seq);
create index due_jobs_by_owner on filaviva.due_jobs (queue, owner, priority, turn);
comment on table filaviva.due_jobs is 'The line of a queue: jobs that may run now, by priority, turn and order of enqueue.';
comment on column filaviva.due_jobs.owner is 'The job''s user; all zeros for jobs of nobody.';
alter table filaviva.due_jobs enable row level security;
alter table filaviva.due_jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

drop index public.jobs_due;
drop index public.jobs_behind;
create index jobs_behind on public.jobs (queue, blocked_by, priority desc, seq) where blocked_by is not null;

alter table public.jobs
  add column expires_at timestamptz,
  drop constraint a_job_waits_in_one_place,
  drop constraint a_waiting_job_has_its_place,
  add constraint a_job_waits_in_one_place
    check (num_nonnulls(next_run_at, blocked_by) <= case when msg_id is null and finished_at is null then 1 else 0 end),
  add constraint a_waiting_job_has_its_place
    check (finished_at is not null or msg_id is not null or num_nonnulls(next_run_at, blocked_by, fair_tag) > 0);
comment on column public.jobs.fair_tag is 'Its turn among the due jobs of its queue and priority. A job that waits for no time and behind nobody, without a message, stands in the line.';
comment on column public.jobs.blocked_by is 'Set while the job waits behind another, group:<key>, or for a limit, limit:<limiter>:<key>.';
comment on column public.jobs.expires_at is 'No attempt starts after this time, and no point of no return is passed: a job that still waits then is cancelled.';

insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
select j.queue, j.priority, j.fair_tag, j.seq, j.id, coalesce(j.user_id, '00000000-0000-0000-0000-000000000000')
from public.jobs j
where j.finished_at is null and j.msg_id is null and j.next_run_at is null and j.blocked_by is null;

alter table public.queues alter column window_size set default 10000;
update public.queues set window_size = 10000 where window_size = 1000;

-- Time ------------------------------------------------------------------------------------------

create or replace function filaviva.now() returns timestamptz
language plpgsql volatile
set search_path = ''
as $$
begin
  -- plpgsql keeps its plan; a function in SQL is planned anew at every call, which costs twenty times as much.
  return clock_timestamp() + coalesce((select c.shift from filaviva.clock_shift c), interval '0');
end
$$;

-- Messages --------------------------------------------------------------------------------------

drop function filaviva.deliveries(text);
create function filaviva.deliveries(p_queue text, p_which text default 'all', p_limit int default null)
returns table (msg_id bigint, job_id uuid, hidden boolean, enqueued_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  -- The job's id as filaviva.job_id_of() reads it, spelled out: a call for each message costs more than all the rest.
  return query execute format(
    $q$select m.msg_id,
        case when m.message ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (m.message ->> 'job_id')::uuid end,
        m.vt > $1, m.enqueued_at
      from pgmq.%I m %s$q$,
    'q_' || p_queue,
    case p_which when 'ready' then 'where m.vt <= $1' when 'hidden' then 'where m.vt > $1' end
      || case when p_limit is not null then ' order by m.msg_id limit $2' else '' end
  ) using clock_timestamp(), p_limit;
end
$$;
comment on function filaviva.deliveries(text, text, int) is
  'The messages of a queue: all, the ready ones in the window, or the hidden ones in flight; with a limit the first of them. With window_edges() the only reader of a pgmq table.';

-- Turns -----------------------------------------------------------------------------------------

create type filaviva.window_edges as (
  size bigint, owner uuid, first_turn bigint, last_turn bigint
);
comment on type filaviva.window_edges is
  'What stands ready in pgmq: an upper bound of how many, whose they are (all are of one owner), and the turns of the first and the last.';

create function filaviva.window_edges(p_queue text) returns filaviva.window_edges
language plpgsql stable
set search_path = ''
set enable_seqscan = off  -- the first and the last message, by index, however many there are
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_edges filaviva.window_edges;
  v_first_id bigint; v_first jsonb;
  v_last_id bigint; v_last jsonb;
begin
  execute format('select m.msg_id, m.message from pgmq.%I m where m.vt <= $1 order by m.msg_id limit 1', 'q_' || p_queue)
    into v_first_id, v_first using clock_timestamp();
  if v_first_id is null then
    return null;
  end if;
  execute format('select m.msg_id, m.message from pgmq.%I m where m.vt <= $1 order by m.msg_id desc limit 1', 'q_' || p_queue)
    into v_last_id, v_last using clock_timestamp();
  v_edges.size := v_last_id - v_first_id + 1;
  select coalesce(j.fair_tag, 0) into v_edges.first_turn from public.jobs j where j.id = filaviva.job_id_of(v_first);
  select j.user_id, coalesce(j.fair_tag, 0) into v_edges.owner, v_edges.last_turn from public.jobs j where j.id = filaviva.job_id_of(v_last);
  return v_edges;
end
$$;
comment on function filaviva.window_edges(text) is 'The first and the last ready message of a queue; null when there is none.';

create function filaviva.turn_bases(p_queue text, p_priorities int[], p_owners uuid[])
returns table (priority int, owner uuid, front bigint, base bigint)
language plpgsql stable
set search_path = ''
set enable_seqscan = off  -- the line fills and empties faster than its statistics: read it by its indexes
set enable_sort = off
as $$
declare
  v_window filaviva.window_edges := case when 0 = any (p_priorities) then filaviva.window_edges(p_queue) end;
begin
  return query
  with fronts as materialized (
    select p.priority, coalesce(least(
        (select d.turn from filaviva.due_jobs d where d.queue = p_queue and d.priority = p.priority order by d.turn, d.seq limit 1),
        case when p.priority = 0 then v_window.first_turn end
      ), 0) as front
    from (select distinct u.priority from unnest(p_priorities) as u(priority)) p
  )
  select k.priority, k.owner, f.front, greatest(
      f.front,
      case when k.priority = 0 and v_window.size > 0 and v_window.owner is not distinct from k.owner then v_window.last_turn end,
      (
        select d.turn from filaviva.due_jobs d
        where d.queue = p_queue and d.owner = coalesce(k.owner, '00000000-0000-0000-0000-000000000000') and d.priority = k.priority
        order by d.turn desc limit 1
      )
    )
  from unnest(p_priorities, p_owners) as k(priority, owner)
  join fronts f on f.priority = k.priority;
end
$$;
comment on function filaviva.turn_bases(text, int[], uuid[]) is
  'For priorities and owners of a queue: the front of the line, and the turn after which an owner''s next job comes, its last one in the line or the window.';

create function filaviva.line_up(p_queue text, p_job_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  if p_job_ids = '{}' then
    return;
  end if;
  with coming as (
    select j.id, j.priority, j.user_id, j.fair_tag, row_number() over (partition by j.priority, j.user_id, j.fair_tag is null order by j.seq) as place
    from public.jobs j where j.id = any (p_job_ids)
  ), owners as (
    select array_agg(o.priority::int) as priorities, array_agg(o.user_id) as ids from (select distinct c.priority, c.user_id from coming c) o
  ), turns as (
    select c.id, case when c.fair_tag is null then b.base + c.place else least(c.fair_tag, greatest(b.front, 1)) end as turn
    from coming c, owners o, filaviva.turn_bases(p_queue, o.priorities, o.ids) b
    where b.priority = c.priority
      and coalesce(b.owner, '00000000-0000-0000-0000-000000000000') = coalesce(c.user_id, '00000000-0000-0000-0000-000000000000')
  ), placed as (
    update public.jobs j set
      fair_tag = t.turn, next_run_at = null, blocked_by = null, msg_id = null,
      waiting_reason = case when j.next_run_at is not null and j.waiting_reason <> 'scheduled' then j.waiting_reason end,
      version = j.version + 1, updated_at = filaviva.now()
    from turns t where j.id = t.id and j.id = any (p_job_ids)
    returning j.queue, j.priority, j.fair_tag, j.seq, j.id, j.user_id
  )
  insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
  select p.queue, p.priority, p.fair_tag, p.seq, p.id, coalesce(p.user_id, '00000000-0000-0000-0000-000000000000') from placed p;
end
$$;
comment on function filaviva.line_up(text, uuid[]) is 'Puts locked jobs of a queue that wait for nothing any more into the line, each at its turn.';

create function filaviva.stand_again(p_job_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
  select j.queue, j.priority, j.fair_tag, j.seq, j.id, coalesce(j.user_id, '00000000-0000-0000-0000-000000000000')
  from public.jobs j where j.id = any (p_job_ids);
end
$$;
comment on function filaviva.stand_again(uuid[]) is 'Puts jobs that were taken from the line and not changed back to where they stood.';

create function filaviva.leave_line(p_job_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  delete from filaviva.due_jobs d using public.jobs j
  where j.id = any (p_job_ids) and j.fair_tag is not null
    and d.queue = j.queue and d.priority = j.priority and d.turn = j.fair_tag and d.seq = j.seq;
end
$$;
comment on function filaviva.leave_line(uuid[]) is 'Takes locked jobs out of the line, as far as they stand in it.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
