-- Claim, second edition: what was chosen gets a claim, a lease and a hidden message, up to the queue's
-- concurrency; one job may be claimed by its id.

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
