-- Claim: take many jobs to run in one call. It never waits on a lock: what another transaction
-- holds is skipped and comes again. Highest priority first, then the order of the queue; never
-- above the queue's concurrency; one at a time of each group.

create function filaviva.take_due(p_queue text, p_min_priority int, p_limit int) returns uuid[]
language plpgsql volatile
set search_path = ''
as $$
begin
  return array(
    select j.id from public.jobs j
    where j.queue = p_queue and j.fair_tag is not null and j.priority >= p_min_priority
    order by j.priority desc, j.fair_tag
    limit greatest(p_limit, 0)
    for update skip locked
  );
end
$$;
comment on function filaviva.take_due(text, int, int) is 'Locks the next due jobs of a queue, best first.';

create function filaviva.read_window(p_queue text, p_hidden_seconds int, p_limit int, out job_ids uuid[], out msg_ids bigint[])
language plpgsql volatile
set search_path = ''
as $$
declare
  v_msgs bigint[]; v_jobs uuid[]; v_over bigint[]; v_other record;
begin
  select array_agg(m.msg_id), array_agg(filaviva.job_id_of(m.message)) into v_msgs, v_jobs
  from pgmq.read(p_queue, p_hidden_seconds, p_limit) m;

  with delivered as (
    select j.id, j.msg_id from public.jobs j
    where j.id = any (v_jobs) and j.status in ('pending', 'retrying')
    for update skip locked
  )
  select coalesce(array_agg(d.id order by r.msg_id), '{}'), coalesce(array_agg(r.msg_id order by r.msg_id), '{}')
  into job_ids, msg_ids
  from unnest(v_jobs, v_msgs) as r(job_id, msg_id)
  join delivered d on d.id = r.job_id and d.msg_id = r.msg_id;

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
comment on function filaviva.read_window(text, int, int) is 'Reads ready messages from pgmq and locks their jobs; both arrays are in the messages'' order.';

create function filaviva.claimed_jobs(p_job_ids uuid[], p_claim_ids bigint[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
        'job_id', j.id, 'claim_id', j.claim_id, 'mode', j.mode, 'attempt', j.attempt, 'max_attempts', j.max_attempts,
        'queue', j.queue, 'kind', j.kind, 'payload', j.payload, 'metadata', j.metadata, 'user_id', j.user_id,
        'company_id', j.company_id, 'instance_id', j.instance_id, 'group_key', j.group_key, 'correlation_id', j.correlation_id,
        'checkpoint', c.checkpoint, 'committed', j.committed_at is not null, 'timeout_seconds', j.timeout_seconds,
        'lease_seconds', q.lease_seconds, 'lease_expires_at', j.lease_expires_at, 'created_at', j.created_at
      ) order by j.priority desc, j.seq), '[]')
    from public.jobs j
    join public.queues q on q.name = j.queue
    left join filaviva.job_checkpoints c on c.job_id = j.id
    where j.id = any (p_job_ids) and j.claim_id = any (p_claim_ids) and j.status = 'processing'
  );
end
$$;
comment on function filaviva.claimed_jobs(uuid[], bigint[]) is 'Claimed jobs as a worker gets them, as far as the claims still hold.';

create function filaviva.start_jobs(p_queue public.queues, p_now timestamptz, p_worker_id text, p_request_id uuid, p_job_ids uuid[], p_msg_ids bigint[]) returns jsonb
language plpgsql volatile
set search_path = ''
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
      msg_id = m.msg_id, fair_tag = null, waiting_reason = null,
      version = j.version + 1
    from unnest(p_job_ids, p_msg_ids) as m(job_id, msg_id)
    where j.id = m.job_id and j.id = any (p_job_ids)
    returning j.claim_id
  )
  select array_agg(s.claim_id) into v_claim_ids from started s;
  insert into filaviva.claim_requests (request_id, job_ids, claim_ids) values (p_request_id, p_job_ids, v_claim_ids);
  return filaviva.claimed_jobs(p_job_ids, v_claim_ids);
end
$$;
comment on function filaviva.start_jobs(public.queues, timestamptz, text, uuid, uuid[], bigint[]) is
  'Turns locked jobs into claimed ones: a new claim id, a lease, one attempt more unless it only reconciles.';

create function filaviva.hidden_seconds(p_queue public.queues) returns int
language sql immutable
set search_path = ''
as $$ select p_queue.stall_seconds + 60 $$;
comment on function filaviva.hidden_seconds(public.queues) is
  'How long a claimed message stays hidden: the outer bound of a claim and a margin. Renewing a lease touches the job alone.';

create function filaviva.next_due_in_ms(p_queue text, p_now timestamptz) returns bigint
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select case when d.at is not null then greatest(0, ceil(extract(epoch from d.at - p_now) * 1000))::bigint end
    from (select least(
      (select min(j.next_run_at) from public.jobs j where j.queue = p_queue and j.next_run_at is not null),
      (select min(g.next_at) from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null)
    ) as at) d
  );
end
$$;
comment on function filaviva.next_due_in_ms(text, timestamptz) is 'Milliseconds until the next waiting job or group may run; null when none waits for a time.';

create function filaviva.running(p_queue text) returns int
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select count(*) from filaviva.deliveries(p_queue) d
    join public.jobs j on j.id = d.job_id and j.msg_id = d.msg_id
    where j.status = 'processing'
  );
end
$$;
comment on function filaviva.running(text) is 'How many jobs of a queue are being processed; found through their messages, which are few.';

create function filaviva.claim_jobs(p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_queue public.queues;
  v_earlier filaviva.claim_requests;
  v_limit int := least(greatest(p_limit, 0), 1000);
  v_urgent int; v_window record; v_due uuid[];
  v_jobs jsonb := '[]';
  v_state text;
begin
  select * into v_queue from public.queues q where q.name = p_queue;
  if not found then
    perform filaviva.fail(404, 'unknown_queue', format('There is no queue %L.', p_queue), 'Make it with create_queue(), or correct its name.');
  end if;
  if p_request_id is null then
    perform filaviva.fail(400, 'invalid_field', 'p_request_id must be a uuid.', 'Make a new one for each claim, and repeat it only to repeat that claim.');
  end if;
  if not pg_try_advisory_xact_lock(hashtext('filaviva.request'), hashtext(p_request_id::text)) then
    return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', null, 'state', 'busy');  -- the first call with this id still runs
  end if;
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return jsonb_build_object('jobs', filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids),
      'next_due_in_ms', filaviva.next_due_in_ms(p_queue, v_now), 'state', 'ok');
  end if;

  if v_queue.paused_at is not null then
    return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', null, 'state', 'paused');
  end if;
  if v_queue.concurrency is not null then
    if not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(p_queue)) then
      return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', filaviva.next_due_in_ms(p_queue, v_now), 'state', 'busy');
    end if;
    v_limit := least(v_limit, v_queue.concurrency - filaviva.running(p_queue));
  end if;

  if v_limit > 0 then
    perform filaviva.release_later(p_queue, v_now, greatest(4 * v_limit, 100));
    perform filaviva.release_groups(p_queue, v_now, greatest(4 * v_limit, 100));
    -- Above the lowest priority everything waits in jobs; pgmq holds the head of the lowest; behind it
    -- the rest of the lowest waits in jobs again.
    v_urgent := cardinality(filaviva.take_due(p_queue, 1, v_limit));
    select * into v_window from filaviva.read_window(p_queue, filaviva.hidden_seconds(v_queue), v_limit - v_urgent);
    v_due := filaviva.take_due(p_queue, 0, v_limit - cardinality(v_window.job_ids));
    if v_due <> '{}' or v_window.job_ids <> '{}' then
      v_jobs := filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, v_due || v_window.job_ids,
        filaviva.send_messages(p_queue, v_due, filaviva.hidden_seconds(v_queue)) || v_window.msg_ids);
    end if;
  end if;

  v_state := case when v_limit <= 0 then 'enough' when v_jobs = '[]' then 'empty' else 'ok' end;
  return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', filaviva.next_due_in_ms(p_queue, v_now), 'state', v_state);
end
$$;
comment on function filaviva.claim_jobs(text, int, text, uuid) is
  'Takes up to p_limit jobs: {jobs, next_due_in_ms, state: ok|empty|busy|paused|enough}. The same request id again answers the same still-held jobs and claims no others.';

create function filaviva.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_job public.jobs;
  v_queue public.queues;
  v_msg_ids bigint[];
  v_earlier filaviva.claim_requests;
begin
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return jsonb_build_object('jobs', filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids), 'next_due_in_ms', null, 'state', 'ok');
  end if;
  -- What it waits for may be over by now.
  perform filaviva.release_later(j.queue, v_now, 100), filaviva.release_groups(j.queue, v_now, 100)
  from public.jobs j where j.id = p_job_id and j.finished_at is null;
  select * into v_job from public.jobs j where j.id = p_job_id for update skip locked;
  if not found then
    if not exists (select from public.jobs j where j.id = p_job_id) then
      perform filaviva.fail(404, 'unknown_job', format('There is no job %s.', p_job_id), 'Check the id; finished jobs are pruned after their retention.');
    end if;
    perform filaviva.fail(409, 'not_claimable', 'The job is being changed by another call.', 'Try again in a moment.');
  end if;
  select * into v_queue from public.queues q where q.name = v_job.queue;
  if v_job.fair_tag is null and (v_job.msg_id is null or v_job.status not in ('pending', 'retrying')) then
    perform filaviva.fail(409, 'not_claimable',
      case
        when v_job.finished_at is not null then format('The job is over: %s.', v_job.status)
        when v_job.status = 'processing' then 'The job is being processed.'
        else format('The job waits: %s.', coalesce(v_job.waiting_reason, 'not due'))
      end,
      'Call without a job_id to process what is due.');
  end if;
  if v_queue.paused_at is not null then
    perform filaviva.fail(409, 'not_claimable', 'The queue is paused.', 'Try again when it was resumed.');
  end if;
  if v_queue.concurrency is not null and (
    not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(v_job.queue))
    or filaviva.running(v_job.queue) >= v_queue.concurrency
  ) then
    perform filaviva.fail(409, 'not_claimable', 'The queue already runs as many jobs as it may.', 'Try again when one has finished.');
  end if;

  if v_job.msg_id is not null then
    -- Its ready message gives way to one that is hidden from the start.
    perform pgmq.delete(v_job.queue, v_job.msg_id);
  end if;
  v_msg_ids := filaviva.send_messages(v_job.queue, array[p_job_id], filaviva.hidden_seconds(v_queue));
  return jsonb_build_object(
    'jobs', filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, array[p_job_id], v_msg_ids),
    'next_due_in_ms', null, 'state', 'ok');
end
$$;
comment on function filaviva.claim_job(uuid, text, uuid) is 'Takes one job by its id, or says why it cannot be had now.';

create function filaviva.due_queues() returns jsonb
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
      exists (select from public.jobs j where j.queue = q.name and j.fair_tag is not null)
      or filaviva.next_due_in_ms(q.name, v_now) = 0
      or exists (select from filaviva.deliveries(q.name) d where not d.hidden)
    )
  );
end
$$;
comment on function filaviva.due_queues() is 'The queues that have something to run now.';

create function public.claim_jobs(p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.claim_jobs(p_queue, p_limit, p_worker_id, p_request_id) $$;

create function public.claim_job(p_job_id uuid, p_worker_id text, p_request_id uuid) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.claim_job(p_job_id, p_worker_id, p_request_id) $$;

create function public.due_queues() returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.due_queues() $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.claim_jobs(text, int, text, uuid), public.claim_job(uuid, text, uuid), public.due_queues()
  from public, anon, authenticated, service_role;
grant execute on function filaviva.claim_jobs(text, int, text, uuid), filaviva.claim_job(uuid, text, uuid), filaviva.due_queues() to service_role;
grant execute on function public.claim_jobs(text, int, text, uuid), public.claim_job(uuid, text, uuid), public.due_queues() to service_role;
