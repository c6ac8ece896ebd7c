-- Choosing: which jobs a claim takes, from the line and from pgmq's window in one fair order, under
-- the queue's rate limits. It never waits on a lock: what another transaction holds is skipped and
-- comes again.

drop function public.claim_jobs(text, int, text, uuid);
drop function public.claim_job(uuid, text, uuid);
drop function public.settle_and_claim(jsonb, text, int, text, uuid);
drop function filaviva.claim_jobs(text, int, text, uuid);
drop function filaviva.claim_job(uuid, text, uuid);
drop function filaviva.settle_and_claim(jsonb, text, int, text, uuid);
drop function filaviva.start_jobs(public.queues, timestamptz, text, uuid, uuid[], bigint[]);
drop function filaviva.claimed_jobs(uuid[], bigint[]);
drop function filaviva.take_due(text, int, int);

create table filaviva.claim_times (
  queue text primary key,
  claimed_at timestamptz not null
);
comment on table filaviva.claim_times is 'When somebody last asked a queue for work, to the second: how people learn that no drain comes.';
alter table filaviva.claim_times enable row level security;

create function filaviva.note_claim(p_queue text, p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_claimed_at timestamptz := (select c.claimed_at from filaviva.claim_times c where c.queue = p_queue);
begin
  if v_claimed_at is null then
    if pg_try_advisory_xact_lock(hashtext('filaviva.claim_time'), hashtext(p_queue)) then
      insert into filaviva.claim_times (queue, claimed_at) values (p_queue, p_now) on conflict do nothing;
    end if;
  elsif v_claimed_at not between p_now - interval '1 second' and p_now then
    update filaviva.claim_times c set claimed_at = p_now
    from (select l.queue from filaviva.claim_times l where l.queue = p_queue for update skip locked) f where c.queue = f.queue;
  end if;
end
$$;
comment on function filaviva.note_claim(text, timestamptz) is 'Notes that a queue is being asked for work, at most once a second and without waiting.';

-- Choosing --------------------------------------------------------------------------------------

create function filaviva.suspects_to_leave(p_queue text, p_suspects uuid[]) returns uuid[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_one_runs boolean := coalesce(current_setting('filaviva.suspect_taken', true), '') = p_queue
    or not pg_try_advisory_xact_lock(hashtext('filaviva.suspect'), hashtext(p_queue));
begin
  if not v_one_runs then
    v_one_runs := exists (
      select from filaviva.deliveries(p_queue, 'hidden') d join public.jobs j on j.id = d.job_id and j.msg_id = d.msg_id
      where j.status = 'processing' and j.error_code = 'worker_lost' and j.attempt >= j.max_attempts
    );
  end if;
  if not v_one_runs then
    perform set_config('filaviva.suspect_taken', p_queue, true);  -- for the other looks of this claim
  end if;
  return case when v_one_runs then p_suspects else p_suspects[2:] end;
end
$$;
comment on function filaviva.suspects_to_leave(text, uuid[]) is
  'Which of the due jobs that lost their worker and have one attempt left have to wait: one of a queue runs at a time, so that a job that kills its worker does not take the others along that ran beside it.';

create function filaviva.take_due(p_queue text, p_min_priority int, p_limit int, p_now timestamptz) returns uuid[]
language plpgsql volatile
set search_path = ''
set enable_seqscan = off  -- the line fills and empties faster than its statistics: read it by its index
set enable_sort = off
as $$
declare
  v_ids uuid[]; v_rows tid[]; v_found uuid[]; v_expired uuid[]; v_groups uuid[]; v_suspects uuid[];
begin
  if p_limit <= 0 then
    return '{}';
  end if;
  select array_agg(d.job_id), array_agg(d.ctid) into v_ids, v_rows
  from (
    select d.job_id, d.ctid from filaviva.due_jobs d
    where d.queue = p_queue and d.priority >= p_min_priority
    order by d.priority desc, d.turn, d.seq
    limit p_limit
    for update skip locked
  ) d;
  if v_ids is null then
    return '{}';
  end if;
  select array_agg(j.id), array_agg(j.id) filter (where j.expires_at <= p_now and j.committed_at is null),
    array_agg(j.id order by j.fair_tag, j.seq) filter (where j.error_code = 'worker_lost' and j.attempt + 1 >= j.max_attempts)
  into v_found, v_expired, v_suspects
  from (
    select j.id, j.expires_at, j.committed_at, j.error_code, j.attempt, j.max_attempts, j.fair_tag, j.seq
    from public.jobs j where j.id = any (v_ids) and j.status in ('pending', 'retrying') for update skip locked
  ) j;
  if v_suspects is not null then
    v_suspects := filaviva.suspects_to_leave(p_queue, v_suspects);
    v_found := array(select f from unnest(v_found) f where f <> all (v_suspects));
    -- They stand aside, so that the line goes on behind them.
    update public.jobs j set next_run_at = p_now + interval '5 seconds', version = j.version + 1, updated_at = p_now where j.id = any (v_suspects);
    delete from filaviva.due_jobs d where d.ctid = any (v_rows) and d.job_id = any (v_suspects);
  end if;
  if v_expired is not null then
    -- Groups before jobs for whoever waits; here a group that another holds is left to the tick.
    v_groups := array(select g.active_job_id from filaviva.job_groups g where g.active_job_id = any (v_expired) for update skip locked);
    perform filaviva.expire(array(
      select j.id from public.jobs j where j.id = any (v_expired) and (j.group_key is null or j.id = any (v_groups))
    ), p_now);
  end if;
  if cardinality(v_found) = cardinality(v_ids) and v_expired is null then
    delete from filaviva.due_jobs d where d.ctid = any (v_rows);
    return v_ids;
  end if;
  -- A job that another transaction holds keeps its place; a place without a job goes.
  v_ids := array(
    select i.id from unnest(v_ids, v_rows) with ordinality as i(id, place, ord)
    where i.id = any (v_found) and (v_expired is null or i.id <> all (v_expired)) order by i.ord
  );
  delete from filaviva.due_jobs d where d.ctid = any (v_rows) and (
    d.job_id = any (v_ids) or not exists (select from public.jobs j where j.id = d.job_id and j.finished_at is null));
  return v_ids;
end
$$;
comment on function filaviva.take_due(text, int, int, timestamptz) is 'Takes the next due jobs of a queue out of the line and locks them, best first; cancels those that have expired.';

create function filaviva.window_share(p_queue text, p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
begin
  if not exists (select from filaviva.due_jobs d where d.queue = p_queue and d.priority = 0) then
    return p_limit;
  elsif (filaviva.window_edges(p_queue)).size is null then
    return 0;
  end if;
  -- Both hold jobs: the window's come as far as their turns are among the next ones.
  return (
    select count(*) from (
      select t.waits_in_pgmq from (
        (select true as waits_in_pgmq, coalesce(j.fair_tag, 0) as turn
        from filaviva.deliveries(p_queue, 'ready', p_limit) m
          left join lateral (select x.fair_tag from public.jobs x where x.id = m.job_id offset 0) j on true)
        union all
        (select false, d.turn from filaviva.due_jobs d where d.queue = p_queue and d.priority = 0 order by d.turn, d.seq limit p_limit)
      ) t
      order by t.turn, t.waits_in_pgmq desc
      limit p_limit
    ) n where n.waits_in_pgmq
  );
end
$$;
comment on function filaviva.window_share(text, int) is 'How many of the next p_limit jobs of the lowest priority stand in pgmq''s window; the others stand in the line.';

create function filaviva.take_admitted(p_queue text, p_limit int, p_now timestamptz) returns uuid[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_taken uuid[] := '{}';
  v_back uuid[] := '{}';
  v_admission filaviva.admission;
  v_next uuid[];
  v_width int := p_limit;
  v_until constant timestamptz := clock_timestamp() + interval '500 milliseconds';
begin
  -- A bounded number of looks and a bounded time, each look wider while everybody is refused; who was refused is parked, so
  -- the next call starts behind them.
  for _ in 1 .. 10 loop
    v_next := filaviva.take_due(p_queue, 0, v_width, p_now);
    exit when v_next = '{}';
    v_admission := filaviva.admit(p_queue, v_next, p_limit - cardinality(v_taken));
    v_taken := v_taken || v_admission.admitted;
    v_back := v_back || v_admission.skipped;
    perform filaviva.park(p_queue, v_admission.refused, v_admission.limiters, v_admission.keys, p_now);
    exit when cardinality(v_taken) >= p_limit or clock_timestamp() > v_until;
    v_width := case when v_admission.admitted = '{}' then least(2 * v_width, 1000) else p_limit - cardinality(v_taken) end;
  end loop;
  perform filaviva.stand_again(v_back);
  return v_taken;
end
$$;
comment on function filaviva.take_admitted(text, int, timestamptz) is 'Takes the next due jobs that every limit of a queue allows; parks those that one refuses.';

create or replace function filaviva.read_window(p_queue text, p_hidden_seconds int, p_limit int, out job_ids uuid[], out msg_ids bigint[])
language plpgsql volatile
set search_path = ''
set enable_seqscan = off
as $$
declare
  v_msgs bigint[]; v_jobs uuid[]; v_over bigint[]; v_other record;
begin
  -- The job's id as filaviva.job_id_of() reads it, spelled out: a call for each message costs more than all the rest.
  select array_agg(m.msg_id),
    array_agg(case when m.message ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (m.message ->> 'job_id')::uuid end)
  into v_msgs, v_jobs
  from pgmq.read(p_queue, p_hidden_seconds, p_limit) m;

  select coalesce(array_agg(d.id), '{}'), coalesce(array_agg(d.msg_id), '{}') into job_ids, msg_ids
  from (
    select j.id, j.msg_id from public.jobs j
    where j.id = any (v_jobs) and j.msg_id = any (v_msgs) and j.status in ('pending', 'retrying')
    for update skip locked
  ) d;

  if cardinality(job_ids) < coalesce(cardinality(v_jobs), 0) then
    -- A delivery is dropped only when its job is over, gone or has another message ...
    v_over := array(
      select r.msg_id from unnest(v_jobs, v_msgs) as r(job_id, msg_id)
      left join public.jobs j on j.id = r.job_id
      where j.id is null or j.finished_at is not null or j.msg_id is distinct from r.msg_id
    );
    perform pgmq.delete(p_queue, v_over);
    -- ... one whose job is merely locked by another transaction is shown again, and one whose job
    -- still runs, or was lost, stays out of the way until rescue decides.
    for v_other in
      select r.msg_id, j.status = 'processing' as runs
      from unnest(v_jobs, v_msgs) as r(job_id, msg_id) join public.jobs j on j.id = r.job_id
      where r.msg_id <> all (msg_ids || v_over)
    loop
      perform pgmq.set_vt(p_queue, v_other.msg_id, case when v_other.runs then 60 else 0 end);
    end loop;
  end if;
end
$$;
comment on function filaviva.read_window(text, int, int) is 'Reads ready messages from pgmq and locks their jobs; the arrays belong together.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
