-- Settle: the end of an attempt, many in one call, each element in its own right.
-- The fencing token is (job_id, claim_id): a worker that lost its lease changes nothing.
-- Once a job is committed, its irreversible call may have happened: then nothing but the handler's
-- own word runs it again. An unknown end goes to the kind's reconcile function, or to a person.

create function filaviva.backoff_seconds(p_attempt int, p_base numeric, p_factor numeric, p_max numeric) returns numeric
language sql immutable
set search_path = ''
as $$
  -- The exponent is capped, so that no attempt number can overflow the power.
  select least(p_max, p_base * power(p_factor, least(greatest(p_attempt, 1) - 1, 64)))
$$;
comment on function filaviva.backoff_seconds(int, numeric, numeric, numeric) is
  'Longest wait after an attempt: base · factor^(attempt − 1), capped. The wait itself is drawn evenly between 0 and this (full jitter).';

create type filaviva.settlement as (
  ord int, job_id uuid, claim_id bigint, outcome text, result jsonb, error_code text, error_message text, error_details jsonb,
  run_at timestamptz, after_seconds numeric, checkpoint jsonb
);
comment on type filaviva.settlement is 'One element of a settle call, checked.';

create type filaviva.decision as (
  ord int, job_id uuid, applied text, outcome text, status text, mode text, attempt int, snoozes int, run_at timestamptz,
  keeps_commit boolean, error_code text, error_message text, error_details jsonb, result jsonb, checkpoint jsonb,
  queue text, group_key text, msg_id bigint
);
comment on type filaviva.decision is 'What one element does to its job; applied is ok, already, stale or gone.';

create function filaviva.parse_settlements(p_results jsonb) returns filaviva.settlement[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_results filaviva.settlement[];
  v_bad record;
begin
  if p_results is null or jsonb_typeof(p_results) <> 'array' then
    perform filaviva.fail(400, 'invalid_results', 'p_results must be an array.', 'Send [{"job_id": …, "claim_id": …, "outcome": …}, …].');
  end if;
  begin
    v_results := array(
      select row(r.ord, r.job_id, r.claim_id, r.outcome, r.result, left(r.error ->> 'code', 100), left(r.error ->> 'message', 2000),
        case when octet_length((r.error -> 'details')::text) <= 16384 then r.error -> 'details' end, r.until, r.after_seconds, r.checkpoint)::filaviva.settlement
      from rows from (jsonb_to_recordset(p_results) as (
          job_id uuid, claim_id bigint, outcome text, result jsonb, error jsonb, until timestamptz, after_seconds numeric, checkpoint jsonb
        )) with ordinality as r(job_id, claim_id, outcome, result, error, until, after_seconds, checkpoint, ord)
      order by r.ord
    );
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_results', 'An element cannot be read: ' || sqlerrm || '.', 'job_id is a uuid, claim_id a number, until an ISO 8601 time.');
  end;
  select r.ord, r.job_id, case
      when r.job_id is null or r.claim_id is null then 'needs job_id and claim_id'
      when r.outcome is null or r.outcome not in ('done', 'retry', 'snooze', 'release', 'reject', 'unconfirmed', 'cancelled')
        then 'has no known outcome'
      when r.outcome = 'snooze' and r.run_at is null and r.after_seconds is null then 'is a snooze without until or after_seconds'
      when not isfinite(r.run_at) or r.after_seconds not between 0 and 315360000 then 'waits for no time within ten years'
      when octet_length(r.result::text) > 65536 then 'has a result above 64 KB'
      when octet_length(r.checkpoint::text) > 65536 then 'has a checkpoint above 64 KB'
    end as problem
  into v_bad
  from unnest(v_results) r
  where r.job_id is null or r.claim_id is null or r.outcome is null
    or r.outcome not in ('done', 'retry', 'snooze', 'release', 'reject', 'unconfirmed', 'cancelled')
    or (r.outcome = 'snooze' and r.run_at is null and r.after_seconds is null)
    or not isfinite(r.run_at) or r.after_seconds not between 0 and 315360000
    or octet_length(r.result::text) > 65536 or octet_length(r.checkpoint::text) > 65536
  order by r.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_results', format('Element %s %s.', v_bad.ord - 1, v_bad.problem), 'Nothing was settled; correct it and send the call again.');
  end if;
  return v_results;
end
$$;
comment on function filaviva.parse_settlements(jsonb) is 'Checks a settle call; the error names the first wrong element.';

create function filaviva.decide(p_results filaviva.settlement[], p_now timestamptz) returns filaviva.decision[]
language plpgsql volatile
set search_path = ''
as $$
begin
  return (
    with facts as (
      select r.*, j.status as job_status, j.mode as job_mode, j.attempt as job_attempt, j.max_attempts, j.snoozes as job_snoozes,
        j.queue, j.group_key, j.msg_id, q.max_snoozes,
        j.committed_at is not null as committed, j.reconcilable, j.cancel_requested_at is not null as cancel_wanted,
        random() * filaviva.backoff_seconds(j.attempt, q.backoff_base_seconds, q.backoff_factor, q.backoff_max_seconds) as backoff,
        case
          when j.id is null then 'gone'
          when j.claim_id is distinct from r.claim_id then 'stale'
          when j.status <> 'processing' or row_number() over (partition by r.job_id order by r.ord) > 1 then 'already'
          else 'ok'
        end as applied
      from unnest(p_results) r
      left join public.jobs j on j.id = r.job_id
      left join public.queues q on q.name = j.queue
    ), ends as (
      select f.*, case
          when f.outcome = 'done' then 'completed'
          when f.outcome = 'reject' then 'failed'
          when f.outcome = 'cancelled' then 'cancelled'
          when f.outcome in ('release', 'retry', 'snooze') and f.cancel_wanted then 'cancelled'
          when f.outcome = 'release' then case when f.job_attempt > 1 or f.job_snoozes > 0 or f.job_mode = 'reconcile' then 'retrying' else 'pending' end
          when f.outcome = 'retry' then case when f.job_attempt < f.max_attempts then 'retrying' else 'failed' end
          when f.outcome = 'snooze' and f.job_snoozes < f.max_snoozes then 'retrying'
          when f.outcome = 'snooze' then case when f.committed then 'unconfirmed' else 'failed' end
          when f.outcome = 'unconfirmed' and f.job_mode = 'run' and f.committed and f.reconcilable then 'retrying'
          else 'unconfirmed'
        end as next_status
      from facts f
    )
    select array_agg(row(
      e.ord, e.job_id, e.applied, e.outcome,
      case when e.applied = 'ok' then e.next_status else e.job_status end,
      case
        when e.outcome = 'unconfirmed' and e.next_status = 'retrying' then 'reconcile'
        when e.outcome = 'retry' then 'run'
        else e.job_mode
      end,
      e.job_attempt - case when e.outcome in ('snooze', 'release') and e.job_mode = 'run' then 1 else 0 end,
      e.job_snoozes + case when e.outcome = 'snooze' then 1 else 0 end,
      case when e.next_status in ('pending', 'retrying') then
        case when e.outcome = 'release' then p_now
          else coalesce(e.run_at, p_now + make_interval(secs => coalesce(e.after_seconds, e.backoff)::double precision)) end
      end,
      e.committed and e.outcome <> 'retry',
      coalesce(e.error_code, case when e.outcome = 'snooze' and e.next_status <> 'retrying' then 'too_many_snoozes' end),
      e.error_message, e.error_details, e.result, e.checkpoint, e.queue, e.group_key, e.msg_id
    )::filaviva.decision order by e.ord)
    from ends e
  );
end
$$;
comment on function filaviva.decide(filaviva.settlement[], timestamptz) is
  'The whole rule of what an outcome does to a job, without changing anything. The jobs must be locked.';

create function filaviva.apply_decisions(p_decisions filaviva.decision[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_ids uuid[] := array(select d.job_id from unnest(p_decisions) d where d.applied = 'ok');
  v_msgs record;
begin
  insert into public.job_attempts (
    job_id, claim_id, user_id, attempt, mode, outcome, error_code, error_message, error_details, worker_id, started_at, ended_at)
  select j.id, j.claim_id, j.user_id, j.attempt, j.mode, d.outcome, d.error_code, d.error_message, d.error_details, j.worker_id, j.started_at, p_now
  from unnest(p_decisions) d join public.jobs j on j.id = d.job_id
  where d.applied = 'ok' and (d.outcome in ('retry', 'reject', 'unconfirmed') or d.error_code is not null);

  update public.jobs j set
    status = d.status, mode = d.mode, attempt = d.attempt, snoozes = d.snoozes,
    finished_at = case when d.run_at is null then p_now end,
    next_run_at = case when d.run_at > p_now then d.run_at end,
    fair_tag = case when d.run_at <= p_now then j.seq end,
    msg_id = case when d.run_at is null then j.msg_id end,
    waiting_reason = case
      when d.run_at is null or d.outcome = 'release' then null
      when d.mode = 'reconcile' then 'reconcile'
      when d.outcome = 'snooze' then 'polling'
      else 'backoff' end,
    lease_expires_at = null,
    committed_at = case when d.keeps_commit then j.committed_at end,
    progress = case when d.status = 'completed' then 100 else j.progress end,
    result = coalesce(d.result, j.result),
    error_code = case when d.status = 'completed' then null else coalesce(d.error_code, j.error_code) end,
    error_message = case when d.status = 'completed' then null else coalesce(d.error_message, j.error_message) end,
    version = j.version + 1, updated_at = p_now
  from unnest(p_decisions) d
  where d.applied = 'ok' and j.id = d.job_id and j.id = any (v_ids);

  insert into filaviva.job_checkpoints (job_id, checkpoint)
  select d.job_id, d.checkpoint from unnest(p_decisions) d
  where d.applied = 'ok' and d.checkpoint is not null and d.run_at is not null and d.outcome <> 'retry'
  on conflict (job_id) do update set checkpoint = excluded.checkpoint;
  if exists (select from unnest(p_decisions) d where d.applied = 'ok' and (d.run_at is null or d.outcome = 'retry')) then
    delete from filaviva.job_checkpoints c
    where c.job_id in (select d.job_id from unnest(p_decisions) d where d.applied = 'ok' and (d.run_at is null or d.outcome = 'retry'));
  end if;

  update filaviva.job_groups g set
    active_job_id = null,
    next_at = p_now + make_interval(secs => (q.gap_min_ms + random() * (q.gap_max_ms - q.gap_min_ms)) / 1000.0)
  from unnest(p_decisions) d join public.queues q on q.name = d.queue
  where d.applied = 'ok' and d.run_at is null and d.group_key is not null
    and g.queue = d.queue and g.group_key = d.group_key and g.active_job_id = d.job_id;

  for v_msgs in
    select d.queue, array_agg(d.msg_id) as ids from unnest(p_decisions) d
    where d.applied = 'ok' and d.msg_id is not null group by d.queue order by d.queue
  loop
    perform pgmq.delete(v_msgs.queue, v_msgs.ids);
  end loop;
end
$$;
comment on function filaviva.apply_decisions(filaviva.decision[], timestamptz) is
  'Writes decisions to jobs, attempts, checkpoints and groups, and removes the messages. The jobs and groups must be locked.';

create function filaviva.lock_jobs(p_job_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  perform from filaviva.job_groups g
  where (g.queue, g.group_key) in (
    select j.queue, j.group_key from public.jobs j where j.id = any (p_job_ids) and j.group_key is not null
  )
  order by g.queue, g.group_key for update;
  perform from public.jobs j where j.id = any (p_job_ids) order by j.id for update;
end
$$;
comment on function filaviva.lock_jobs(uuid[]) is
  'Locks in the one order that everybody who waits keeps: groups by key, then jobs by id.';

create function filaviva.settle_jobs(p_results jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_results filaviva.settlement[] := filaviva.parse_settlements(p_results);
  v_decisions filaviva.decision[];
  v_now timestamptz;
begin
  if v_results = '{}' then
    return '[]';
  end if;
  perform filaviva.lock_jobs(array(select r.job_id from unnest(v_results) r));
  v_now := filaviva.now();
  v_decisions := filaviva.decide(v_results, v_now);
  perform filaviva.apply_decisions(v_decisions, v_now);
  return (
    select jsonb_agg(jsonb_build_object('job_id', d.job_id, 'applied', d.applied, 'status', d.status) order by d.ord)
    from unnest(v_decisions) d
  );
end
$$;
comment on function filaviva.settle_jobs(jsonb) is
  'Ends attempts: [{job_id, claim_id, outcome, result?, error?, after_seconds?, until?, checkpoint?}]. Per element ok, already (sent again), stale (another claim came) or gone.';

create function filaviva.settle_and_claim(p_results jsonb, p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_settled jsonb := filaviva.settle_jobs(p_results);
begin
  return jsonb_build_object('settled', v_settled, 'claimed', filaviva.claim_jobs(p_queue, p_limit, p_worker_id, p_request_id));
end
$$;
comment on function filaviva.settle_and_claim(jsonb, text, int, text, uuid) is 'Settles the last batch and claims the next in one call: what a busy drain uses.';

create function filaviva.extend_leases(p_leases jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_ids uuid[];
  v_answer jsonb;
begin
  if p_leases is null or jsonb_typeof(p_leases) <> 'array' then
    perform filaviva.fail(400, 'invalid_leases', 'p_leases must be an array.', 'Send [{"job_id": …, "claim_id": …}, …].');
  end if;
  v_ids := array(select (l ->> 'job_id')::uuid from jsonb_array_elements(p_leases) l);
  perform from public.jobs j where j.id = any (v_ids) order by j.id for update;
  v_now := filaviva.now();
  update public.jobs j set
    lease_expires_at = least(v_now + make_interval(secs => q.lease_seconds), j.started_at + make_interval(secs => q.stall_seconds)),
    progress = coalesce(least(greatest(l.progress, 0), 100), j.progress),
    progress_note = coalesce(left(l.note, 500), j.progress_note),
    version = j.version + 1, updated_at = v_now
  from jsonb_to_recordset(p_leases) as l(job_id uuid, claim_id bigint, progress numeric, note text), public.queues q
  where j.id = l.job_id and j.id = any (v_ids) and j.claim_id = l.claim_id and j.status = 'processing' and q.name = j.queue;

  select jsonb_agg(
      case when j.id is null then jsonb_build_object('job_id', l.job_id, 'stale', true)
      else jsonb_build_object('job_id', l.job_id, 'lease_expires_at', j.lease_expires_at, 'cancel_requested', j.cancel_requested_at is not null) end
      order by l.ord)
  into v_answer
  from rows from (jsonb_to_recordset(p_leases) as (job_id uuid, claim_id bigint)) with ordinality as l(job_id, claim_id, ord)
  left join public.jobs j on j.id = l.job_id and j.id = any (v_ids) and j.claim_id = l.claim_id and j.status = 'processing';
  return coalesce(v_answer, '[]');
end
$$;
comment on function filaviva.extend_leases(jsonb) is
  'Renews leases up to the queue''s stall bound, writes progress, and tells which claims are stale and which jobs their owner wants cancelled.';

create function filaviva.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_job public.jobs;
begin
  select * into v_job from public.jobs j where j.id = p_job_id for update;
  if v_job.status is distinct from 'processing' or v_job.claim_id is distinct from p_claim_id
    or filaviva.is_lost(v_job, (select q from public.queues q where q.name = v_job.queue), filaviva.now())
  then
    perform filaviva.fail(409, 'stale_claim', 'Another claim has taken this job, or it is over.', 'Do not make the irreversible call.');
  end if;
  if v_job.cancel_requested_at is not null then
    perform filaviva.fail(409, 'cancel_requested', 'The owner has asked to cancel this job.', 'Do not make the irreversible call; settle it as cancelled.');
  end if;
  v_now := filaviva.now();
  insert into filaviva.job_checkpoints (job_id, checkpoint) values (p_job_id, coalesce(p_checkpoint, '{}'))
  on conflict (job_id) do update set checkpoint = excluded.checkpoint;
  update public.jobs j set
    committed_at = v_now, reconcilable = p_reconcilable,
    lease_expires_at = greatest(j.lease_expires_at, v_now + make_interval(secs => p_extend_seconds)),
    version = j.version + 1, updated_at = v_now
  where j.id = p_job_id
  returning * into v_job;
  return jsonb_build_object('committed_at', v_job.committed_at, 'lease_expires_at', v_job.lease_expires_at);
end
$$;
comment on function filaviva.commit_job(uuid, bigint, jsonb, boolean, int) is
  'The point of no return: acknowledged just before the one irreversible call, with what is needed to find out later whether it happened. Refuses stale claims and cancelled jobs.';

create function public.settle_jobs(p_results jsonb) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.settle_jobs(p_results) $$;

create function public.settle_and_claim(p_results jsonb, p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.settle_and_claim(p_results, p_queue, p_limit, p_worker_id, p_request_id) $$;

create function public.extend_leases(p_leases jsonb) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.extend_leases(p_leases) $$;

create function public.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds int) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.commit_job(p_job_id, p_claim_id, p_checkpoint, p_reconcilable, p_extend_seconds) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.settle_jobs(jsonb), public.settle_and_claim(jsonb, text, int, text, uuid), public.extend_leases(jsonb),
  public.commit_job(uuid, bigint, jsonb, boolean, int)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.settle_jobs(jsonb), filaviva.settle_and_claim(jsonb, text, int, text, uuid), filaviva.extend_leases(jsonb),
  filaviva.commit_job(uuid, bigint, jsonb, boolean, int) to service_role;
grant execute on function public.settle_jobs(jsonb), public.settle_and_claim(jsonb, text, int, text, uuid), public.extend_leases(jsonb),
  public.commit_job(uuid, bigint, jsonb, boolean, int) to service_role;
