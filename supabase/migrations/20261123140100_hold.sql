-- Hold: the end of an attempt that the other side refused until a time, for instance for an account's daily cap. It is
-- the handler's word that nothing happened, as a retry is, but it spends no attempt, before and after the point of no
-- return. With the name of a limit the key of that limit cools down, and the job waits under it with all others of the
-- key. A snooze may name a limit too: the job looks again at its own time, and the others wait.

alter type filaviva.settlement add attribute limiter text;
alter type filaviva.decision add attribute limiter text, add attribute limit_key text;

create or replace function filaviva.parse_settlements(p_results jsonb) returns filaviva.settlement[]
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
        case when octet_length((r.error -> 'details')::text) <= 16384 then r.error -> 'details' end, r.until, r.after_seconds, r.checkpoint, r.limiter)::filaviva.settlement
      from rows from (jsonb_to_recordset(p_results) as (
          job_id uuid, claim_id bigint, outcome text, result jsonb, error jsonb, until timestamptz, after_seconds numeric, checkpoint jsonb, limiter text
        )) with ordinality as r(job_id, claim_id, outcome, result, error, until, after_seconds, checkpoint, limiter, ord)
      order by r.ord
    );
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_results', 'An element cannot be read: ' || sqlerrm || '.', 'job_id is a uuid, claim_id a number, until an ISO 8601 time.');
  end;
  select p.ord, p.problem into v_bad
  from (
    select r.ord, case
        when r.job_id is null or r.claim_id is null then 'needs job_id and claim_id'
        when r.outcome is null or r.outcome not in ('done', 'retry', 'snooze', 'release', 'reject', 'unconfirmed', 'cancelled', 'hold')
          then 'has no known outcome'
        when r.outcome in ('snooze', 'hold') and r.run_at is null and r.after_seconds is null then format('is a %s without until or after_seconds', r.outcome)
        when not isfinite(r.run_at) or r.after_seconds not between 0 and 315360000 then 'waits for no time within ten years'
        when octet_length(r.result::text) > 65536 then 'has a result above 64 KB'
        when octet_length(r.checkpoint::text) > 65536 then 'has a checkpoint above 64 KB'
        when r.result @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))'
          or r.checkpoint @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))' then 'holds a number beyond 1e308'
      end as problem
    from unnest(v_results) r
  ) p
  where p.problem is not null
  order by p.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_results', format('Element %s %s.', v_bad.ord - 1, v_bad.problem), 'Nothing was settled; correct it and send the call again.');
  end if;
  return v_results;
end
$$;

create or replace function filaviva.decide(p_results filaviva.settlement[], p_now timestamptz) returns filaviva.decision[]
language plpgsql volatile
set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  return (
    with facts as (
      select r.*, j.status as job_status, j.mode as job_mode, j.attempt as job_attempt, j.max_attempts, j.snoozes as job_snoozes,
        j.queue, j.group_key, j.msg_id, q.max_snoozes,
        j.committed_at is not null as committed, j.reconcilable, j.cancel_requested_at is not null as cancel_wanted,
        j.committed_at is null and j.expires_at <= p_now as expired,
        random() * filaviva.backoff_seconds(j.attempt, q.backoff_base_seconds, q.backoff_factor, q.backoff_max_seconds) as backoff,
        case
          when j.id is null then 'gone'
          when j.claim_id is distinct from r.claim_id then 'stale'
          when j.status <> 'processing' then 'already'
          else 'ok'
        end as applied,
        (
          select filaviva.limit_key(j, l.key) from public.queue_limits l
          where l.queue = j.queue and l.limiter = r.limiter and filaviva.limit_key(j, l.key) is not null order by l.key limit 1
        ) as limit_key
      from unnest(p_results) r
      left join public.jobs j on j.id = r.job_id
      left join public.queues q on q.name = j.queue
    ), ends as (
      select f.*, case
          when f.outcome = 'done' then 'completed'
          when f.outcome = 'reject' then 'failed'
          when f.outcome = 'cancelled' then 'cancelled'
          when f.outcome in ('release', 'retry', 'snooze', 'hold') and (f.cancel_wanted or f.expired) then 'cancelled'
          when f.outcome = 'release' then case when f.job_attempt > 1 or f.job_snoozes > 0 or f.job_mode = 'reconcile' then 'retrying' else 'pending' end
          when f.outcome = 'retry' then case when f.job_attempt < f.max_attempts then 'retrying' else 'failed' end
          when f.outcome in ('snooze', 'hold') and f.job_snoozes < f.max_snoozes then 'retrying'
          when f.outcome = 'hold' then 'failed'
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
        when e.outcome in ('retry', 'hold') then 'run'
        else e.job_mode
      end,
      e.job_attempt - case when e.outcome in ('snooze', 'release', 'hold') and e.job_mode = 'run' then 1 else 0 end,
      e.job_snoozes + case when e.outcome in ('snooze', 'hold') then 1 else 0 end,
      case when e.next_status in ('pending', 'retrying') then
        case when e.outcome = 'release' then p_now
          else coalesce(e.run_at, p_now + make_interval(secs => coalesce(e.after_seconds, e.backoff)::double precision)) end
      end,
      e.committed and e.outcome not in ('retry', 'hold'),
      case
        when e.next_status = 'cancelled' and e.expired and not e.cancel_wanted and e.outcome <> 'cancelled' then 'expired'
        when e.outcome in ('snooze', 'hold') and e.next_status in ('failed', 'unconfirmed') then coalesce(e.error_code, 'too_many_snoozes')
        else e.error_code
      end,
      e.error_message, e.error_details, e.result, e.checkpoint, e.queue, e.group_key, e.msg_id, e.limiter,
      case when e.outcome in ('snooze', 'hold') and e.next_status = 'retrying' then e.limit_key end
    )::filaviva.decision order by e.ord)
    from ends e
  );
end
$$;

create or replace function filaviva.apply_decisions(p_decisions filaviva.decision[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_ids uuid[] := array(select d.job_id from unnest(p_decisions) d where d.applied = 'ok');
  v_queue record;
begin
  insert into public.job_attempts (
    job_id, claim_id, user_id, attempt, mode, outcome, error_code, error_message, error_details, worker_id, started_at, ended_at)
  select j.id, j.claim_id, j.user_id, j.attempt, j.mode, d.outcome, d.error_code, d.error_message, d.error_details, j.worker_id, j.started_at, p_now
  from unnest(p_decisions) d join public.jobs j on j.id = d.job_id
  where d.applied = 'ok' and (d.outcome in ('retry', 'reject', 'unconfirmed') or d.error_code is not null);

  perform filaviva.give_back_hits(array(select d.job_id from unnest(p_decisions) d where d.applied = 'ok' and d.outcome = 'release'), p_now);
  perform filaviva.hold_keys(p_decisions, p_now);
  update public.jobs j set
    status = d.status, mode = d.mode, attempt = d.attempt, snoozes = d.snoozes,
    finished_at = case when d.run_at is null then p_now end,
    next_run_at = d.run_at,
    fair_tag = case
      when d.run_at is not null and d.outcome not in ('release', 'hold') and (d.outcome in ('retry', 'unconfirmed') or d.error_code is not null)
        and (d.error_code is distinct from 'worker_lost' or j.error_code = 'worker_lost') then null
      else j.fair_tag end,
    msg_id = case when d.run_at is null then j.msg_id end,
    waiting_reason = case
      when d.run_at is null or d.outcome = 'release' then null
      when d.mode = 'reconcile' then 'reconcile'
      when d.outcome = 'snooze' then 'polling'
      when d.outcome = 'hold' then 'limit'
      else 'backoff' end,
    lease_expires_at = null,
    committed_at = case when d.keeps_commit then j.committed_at end,
    result = coalesce(d.result, j.result),
    progress = case when d.status = 'completed' then 100 else j.progress end,
    error_code = case when d.status = 'completed' then null else coalesce(d.error_code, j.error_code) end,
    error_message = case when d.status = 'completed' then null else coalesce(d.error_message, j.error_message) end,
    version = j.version + 1, updated_at = p_now
  from unnest(p_decisions) d
  where d.applied = 'ok' and j.id = d.job_id and j.id = any (v_ids);

  for v_queue in
    select d.queue, array_agg(d.job_id) as ids, array_agg(d.limiter) as limiters, array_agg(d.limit_key) as keys
    from unnest(p_decisions) d where d.applied = 'ok' and d.outcome = 'hold' and d.limit_key is not null group by d.queue order by d.queue
  loop
    perform filaviva.park(v_queue.queue, v_queue.ids, v_queue.limiters, v_queue.keys, p_now);
  end loop;

  insert into filaviva.job_checkpoints (job_id, checkpoint)
  select d.job_id, d.checkpoint from unnest(p_decisions) d
  where d.applied = 'ok' and d.checkpoint is not null and d.run_at is not null and d.outcome <> 'retry'
  on conflict (job_id) do update set checkpoint = excluded.checkpoint;
  delete from filaviva.job_checkpoints c
  where c.job_id in (select d.job_id from unnest(p_decisions) d where d.applied = 'ok' and (d.run_at is null or d.outcome = 'retry'));

  for v_queue in
    select d.queue, array_agg(d.job_id) filter (where d.run_at is null) as over, array_agg(d.msg_id) as msg_ids, bool_or(d.group_key is not null) as grouped,
      count(*) filter (where d.status = 'completed') as completed, count(*) filter (where d.status = 'failed') as failed,
      count(*) filter (where d.status = 'cancelled') as cancelled, count(*) filter (where d.status = 'unconfirmed') as unconfirmed,
      count(*) filter (where d.run_at is not null) as again
    from unnest(p_decisions) d where d.applied = 'ok' group by d.queue order by d.queue
  loop
    perform filaviva.finish(v_queue.queue, v_queue.over, v_queue.msg_ids, v_queue.grouped, p_now,
      v_queue.completed, v_queue.failed, v_queue.cancelled, v_queue.unconfirmed, v_queue.again);
  end loop;
end
$$;
comment on function filaviva.apply_decisions(filaviva.decision[], timestamptz) is
  'Writes decisions to jobs, attempts, checkpoints and groups, and removes the messages. A failed attempt gives its turn up, except the first that lost its worker. The jobs and groups must be locked.';

create function filaviva.hold_keys(p_decisions filaviva.decision[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_held uuid[] := array(select d.job_id from unnest(p_decisions) d where d.applied = 'ok' and d.outcome = 'hold');
  v_cool record;
  v_back record;
begin
  select array_agg(d.limiter) as limiters, array_agg(d.limit_key) as keys, array_agg(d.run_at) as untils, array_agg(d.error_message) as reasons
  into v_cool
  from unnest(p_decisions) d where d.applied = 'ok' and d.limit_key is not null;
  if v_held = '{}' and v_cool.keys is null then
    return;
  end if;
  -- Nothing happened, so a job that counts once is not counted for what it did not do.
  select array_agg(h.limiter) as limiters, array_agg(h.key) as keys, array_agg(h.job_id) as jobs into v_back
  from filaviva.rate_limit_hits h join public.jobs j on j.id = h.job_id
  where h.job_id = any (v_held)
    and exists (select from public.queue_limits l where l.queue = j.queue and l.limiter = h.limiter and l.counts = 'jobs');
  perform filaviva.lock_keys(v_cool.limiters || v_back.limiters, v_cool.keys || v_back.keys);
  delete from filaviva.rate_limit_hits d using unnest(v_back.jobs, v_back.limiters) as b(job_id, limiter)
  where d.job_id = b.job_id and d.limiter = b.limiter;
  update filaviva.parked_keys k set next_at = p_now
  from unnest(v_back.limiters, v_back.keys) as b(limiter, key) where k.limiter = b.limiter and k.key = b.key;
  perform filaviva.cool_keys(v_cool.limiters, v_cool.keys, v_cool.untils, v_cool.reasons);
end
$$;
comment on function filaviva.hold_keys(filaviva.decision[], timestamptz) is
  'What held attempts do to limits: the keys that they name cool down, and what they counted by job is forgotten.';

comment on function filaviva.settle_jobs(jsonb) is
  'Ends attempts: [{job_id, claim_id, outcome, result?, error?, after_seconds?, until?, checkpoint?, limiter?}]. Per element ok, already (sent again), stale (another claim came) or gone.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
