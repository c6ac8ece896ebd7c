-- Claim, second edition: from the line and from pgmq's window in one fair order, under the queue's
-- concurrency and rate limits. It never waits on a lock: what another transaction holds is skipped
-- and comes again.

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

-- Starting --------------------------------------------------------------------------------------

create function filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[] default null) returns json
language plpgsql stable
set search_path = ''
set enable_seqscan = off  -- each job by its id, however few jobs there were when the plan was made
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  v_queue public.queues;
  v_start_within int;
begin
  select * into v_queue from public.queues q where q.name = (select j.queue from public.jobs j where j.id = p_job_ids[1]);
  if exists (select from public.queue_limits l where l.queue = v_queue.name) then
    v_start_within := extract(epoch from filaviva.start_slack());
  end if;
  return (
    select coalesce(json_agg(json_build_object(
        'job_id', j.id, 'claim_id', j.claim_id, 'mode', j.mode, 'attempt', j.attempt, 'max_attempts', j.max_attempts,
        'queue', j.queue, 'kind', j.kind, 'payload', j.payload, 'metadata', j.metadata, 'user_id', j.user_id,
        'company_id', j.company_id, 'instance_id', j.instance_id, 'group_key', j.group_key, 'correlation_id', j.correlation_id,
        'checkpoint', (select c.checkpoint from filaviva.job_checkpoints c where c.job_id = j.id),
        'committed', j.committed_at is not null, 'timeout_seconds', j.timeout_seconds,
        'lease_seconds', v_queue.lease_seconds, 'lease_expires_at', j.lease_expires_at, 'created_at', j.created_at,
        'start_within_seconds', v_start_within
      ) order by j.priority desc, j.fair_tag, j.seq), '[]')
    from unnest(p_job_ids) as i(id) cross join lateral (select x.* from public.jobs x where x.id = i.id offset 0) j
    where (p_claim_ids is null or j.claim_id = any (p_claim_ids)) and j.status = 'processing'
  );
end
$$;
comment on function filaviva.claimed_jobs(uuid[], bigint[]) is 'Claimed jobs as a worker gets them, as far as the claims still hold.';

create function filaviva.start_jobs(p_queue public.queues, p_now timestamptz, p_worker_id text, p_request_id uuid, p_job_ids uuid[], p_msg_ids bigint[]) returns json
language plpgsql volatile
set search_path = ''
set enable_seqscan = off  -- each job by its id and one hash of the messages, whatever the statistics say
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
as $$
declare
  v_claim_ids bigint[];
begin
  with started as (
    update public.jobs j set
      status = 'processing',
      attempt = j.attempt + case when j.mode = 'run' then 1 else 0 end,
      started_at = p_now, updated_at = p_now,
      claim_id = nextval('filaviva.claim_seq'), worker_id = p_worker_id,
      lease_expires_at = p_now + make_interval(secs => p_queue.lease_seconds),
      msg_id = m.msg_id, waiting_reason = null,
      version = j.version + 1
    from unnest(p_job_ids, p_msg_ids) as m(job_id, msg_id)
    where j.id = m.job_id and j.id = any (p_job_ids)
    returning j.claim_id
  )
  select array_agg(s.claim_id) into v_claim_ids from started s;
  insert into filaviva.claim_requests (request_id, job_ids, claim_ids) values (p_request_id, p_job_ids, v_claim_ids);
  return filaviva.claimed_jobs(p_job_ids);
end
$$;
comment on function filaviva.start_jobs(public.queues, timestamptz, text, uuid, uuid[], bigint[]) is
  'Turns locked jobs into claimed ones: a new claim id, a lease, one attempt more unless it only reconciles.';

create function filaviva.take_jobs(p_queue public.queues, p_limit int, p_now timestamptz, out job_ids uuid[], out msg_ids bigint[])
language plpgsql volatile
set search_path = ''
as $$
declare
  v_hidden_seconds constant int := filaviva.hidden_seconds(p_queue);
  v_share int;
  v_window record;
begin
  job_ids := '{}'; msg_ids := '{}';
  if exists (select from public.queue_limits l where l.queue = p_queue.name) then
    -- Under limits nothing goes straight into pgmq; what may be left there from before comes back.
    perform filaviva.recall_window(p_queue.name, p_now);
    job_ids := filaviva.take_admitted(p_queue.name, p_limit, p_now);
    msg_ids := filaviva.send_messages(p_queue.name, job_ids, v_hidden_seconds);
    return;
  end if;
  job_ids := filaviva.take_due(p_queue.name, 1, p_limit, p_now);
  v_share := filaviva.window_share(p_queue.name, p_limit - cardinality(job_ids));
  job_ids := job_ids || filaviva.take_due(p_queue.name, 0, p_limit - v_share - cardinality(job_ids), p_now);
  msg_ids := filaviva.send_messages(p_queue.name, job_ids, v_hidden_seconds);
  if v_share > 0 then
    select * into v_window from filaviva.read_window(p_queue.name, v_hidden_seconds, v_share);
    job_ids := job_ids || v_window.job_ids;
    msg_ids := msg_ids || v_window.msg_ids;
  end if;
end
$$;
comment on function filaviva.take_jobs(public.queues, int, timestamptz) is 'The next jobs of a queue, locked, each with its hidden message.';

create function filaviva.recall_window(p_queue text, p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_msg_ids bigint[];
  v_ids uuid[];
begin
  if (filaviva.window_edges(p_queue)).size is null then
    return;
  end if;
  v_ids := array(
    select j.id from public.jobs j
    where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'ready', 1000) d)) and j.status in ('pending', 'retrying') and j.msg_id is not null
    for update skip locked
  );
  v_msg_ids := array(select j.msg_id from public.jobs j where j.id = any (v_ids));
  perform filaviva.line_up(p_queue, v_ids);
  perform pgmq.delete(p_queue, v_msg_ids);
end
$$;
comment on function filaviva.recall_window(text, timestamptz) is 'Brings the ready messages of a queue back into the line.';

-- Claim -----------------------------------------------------------------------------------------

create or replace function filaviva.next_due_in_ms(p_queue text, p_now timestamptz) returns bigint
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select case when d.at is not null then greatest(0, ceil(extract(epoch from d.at - p_now) * 1000))::bigint end
    from (select least(
      (select min(j.next_run_at) from public.jobs j where j.queue = p_queue and j.next_run_at is not null),
      (select min(g.next_at) from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null),
      (select min(k.next_at) from filaviva.parked_keys k where k.queue = p_queue)
    ) as at) d
  );
end
$$;
comment on function filaviva.next_due_in_ms(text, timestamptz) is 'Milliseconds until the next job, group or limit that waits for a time may go on; null when none does.';

create function filaviva.claim_answer(p_jobs json, p_queue text, p_now timestamptz, p_state text) returns json
language plpgsql stable
set search_path = ''
as $$
begin
  return json_build_object('jobs', p_jobs, 'state', p_state, 'next_due_in_ms', case
    -- Jobs that another transaction holds, or that stand behind many refused ones: look again in a moment.
    when p_state = 'empty' and exists (select from filaviva.due_jobs d where d.queue = p_queue) then 50
    when p_state = 'enough' then null  -- what is due must wait for a slot, not for a time
    else filaviva.next_due_in_ms(p_queue, p_now)
  end);
end
$$;

create function filaviva.claim_jobs(p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_queue public.queues;
  v_earlier filaviva.claim_requests;
  v_limit int := least(greatest(coalesce(p_limit, 0), 0), 1000);
  v_taken record;
begin
  select * into v_queue from public.queues q where q.name = p_queue;
  if not found then
    perform filaviva.fail(404, 'unknown_queue', format('There is no queue %L.', p_queue), 'Make it with create_queue(), or correct its name.');
  end if;
  if p_request_id is null then
    perform filaviva.fail(400, 'invalid_field', 'p_request_id must be a uuid.', 'Make a new one for each claim, and repeat it only to repeat that claim.');
  end if;
  if not pg_try_advisory_xact_lock(hashtext('filaviva.request'), hashtext(p_request_id::text)) then
    return json_build_object('jobs', '[]'::json, 'next_due_in_ms', null, 'state', 'busy');  -- the first call with this id still runs
  end if;
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return filaviva.claim_answer(filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids), p_queue, v_now, 'ok');
  end if;

  perform filaviva.note_claim(p_queue, v_now);
  if v_queue.paused_at is not null then
    return json_build_object('jobs', '[]'::json, 'next_due_in_ms', null, 'state', 'paused');
  end if;
  if v_queue.concurrency is not null then
    if not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(p_queue)) then
      return filaviva.claim_answer('[]', p_queue, v_now, 'busy');
    end if;
    v_limit := least(v_limit, v_queue.concurrency - filaviva.running(p_queue));
  end if;
  if v_limit <= 0 then
    return filaviva.claim_answer('[]', p_queue, v_now, 'enough');
  end if;

  perform filaviva.release_jobs(p_queue, v_now, greatest(4 * v_limit, 100));
  select * into v_taken from filaviva.take_jobs(v_queue, v_limit, v_now);
  if v_taken.job_ids = '{}' then
    return filaviva.claim_answer('[]', p_queue, v_now, 'empty');
  end if;
  return filaviva.claim_answer(
    filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, v_taken.job_ids, v_taken.msg_ids), p_queue, v_now, 'ok');
end
$$;
comment on function filaviva.claim_jobs(text, int, text, uuid) is
  'Takes up to p_limit jobs: {jobs, next_due_in_ms, state: ok|empty|busy|paused|enough}. The same request id again answers the same still-held jobs and claims no others.';

create function filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) returns json
language plpgsql security definer
set search_path = ''
as $$
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
comment on function filaviva.claim_job(uuid, text, uuid) is 'Takes one job by its id, or says why it cannot be had now.';

create or replace function filaviva.running(p_queue text) returns int
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select count(*) from filaviva.deliveries(p_queue, 'hidden') d
    join public.jobs j on j.id = d.job_id and j.msg_id = d.msg_id
    where j.status = 'processing'
  );
end
$$;

create or replace function filaviva.rescue_jobs(p_limit int) returns int
language plpgsql security definer
set search_path = ''
set enable_seqscan = off
as $$
declare
  v_queue public.queues;
  v_rescued int := 0;
begin
  for v_queue in select * from public.queues q order by q.name loop
    v_rescued := v_rescued + filaviva.rescue(v_queue, array(
      select j.id from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(v_queue.name, 'hidden') d))
        and filaviva.is_lost(j, v_queue, filaviva.now())
      limit greatest(coalesce(p_limit, 0) - v_rescued, 0)
    ));
  end loop;
  return v_rescued;
end
$$;

create or replace function filaviva.wants_drain(p_queue public.queues) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return p_queue.paused_at is null
    and (p_queue.concurrency is null or filaviva.running(p_queue.name) < p_queue.concurrency)
    and (exists (select from filaviva.due_jobs d where d.queue = p_queue.name) or exists (select from filaviva.deliveries(p_queue.name, 'ready', 1)));
end
$$;

create or replace function filaviva.due_queues() returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('queue', q.name) order by q.name), '[]')
    from public.queues q
    where q.paused_at is null and (
      exists (select from filaviva.due_jobs d where d.queue = q.name)
      or filaviva.next_due_in_ms(q.name, v_now) = 0
      or exists (select from filaviva.deliveries(q.name, 'ready', 1))
    )
  );
end
$$;

create function public.claim_jobs(p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns json
language sql security invoker
set search_path = ''
as $$ select filaviva.claim_jobs(p_queue, p_limit, p_worker_id, p_request_id) $$;

create function public.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) returns json
language sql security invoker
set search_path = ''
as $$ select filaviva.claim_job(p_job_id, p_worker_id, p_request_id) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.claim_jobs(text, int, text, uuid), public.claim_job(uuid, text, uuid)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.claim_jobs(text, int, text, uuid), filaviva.claim_job(uuid, text, uuid) to service_role;
grant execute on function public.claim_jobs(text, int, text, uuid), public.claim_job(uuid, text, uuid) to service_role;
