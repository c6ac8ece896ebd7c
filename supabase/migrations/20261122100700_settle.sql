-- Settle, second edition. Most claims end well, so done has a statement of its own and touches
-- nothing but the job and its message; every other end goes through decide, the one place that
-- holds the rule of what an outcome does to a job.

drop function public.settle_jobs(jsonb);
drop function filaviva.settle_jobs(jsonb);
drop function filaviva.apply_decisions(filaviva.decision[], timestamptz);

create function filaviva.finish(
  p_queue text, p_over uuid[], p_msg_ids bigint[], p_grouped boolean, p_now timestamptz,
  p_completed bigint, p_failed bigint, p_cancelled bigint, p_unconfirmed bigint, p_again bigint
) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  if p_grouped then
    update filaviva.job_groups g set
      active_job_id = null,
      next_at = p_now + make_interval(secs => (q.gap_min_ms + random() * (q.gap_max_ms - q.gap_min_ms)) / 1000.0)
    from public.queues q
    where q.name = p_queue and g.queue = p_queue and g.active_job_id = any (p_over);
  end if;
  insert into filaviva.settle_counts (queue, at, completed, failed, cancelled, unconfirmed, again)
  values (p_queue, p_now, p_completed, p_failed, p_cancelled, p_unconfirmed, p_again);
  perform pgmq.delete(p_queue, p_msg_ids);
end
$$;
comment on function filaviva.finish(text, uuid[], bigint[], boolean, timestamptz, bigint, bigint, bigint, bigint, bigint) is
  'What every end of a claim has in common: a head that is over frees its group after the gap, the queue''s counts grow, the messages go.';

create or replace function filaviva.decide(p_results filaviva.settlement[], p_now timestamptz) returns filaviva.decision[]
language plpgsql volatile
set search_path = ''
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
        end as applied
      from unnest(p_results) r
      left join public.jobs j on j.id = r.job_id
      left join public.queues q on q.name = j.queue
    ), ends as (
      select f.*, case
          when f.outcome = 'done' then 'completed'
          when f.outcome = 'reject' then 'failed'
          when f.outcome = 'cancelled' then 'cancelled'
          when f.outcome in ('release', 'retry', 'snooze') and (f.cancel_wanted or f.expired) then 'cancelled'
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
      case
        when e.next_status = 'cancelled' and e.expired and not e.cancel_wanted and e.outcome <> 'cancelled' then 'expired'
        else coalesce(e.error_code, case when e.outcome = 'snooze' and e.next_status <> 'retrying' then 'too_many_snoozes' end)
      end,
      e.error_message, e.error_details, e.result, e.checkpoint, e.queue, e.group_key, e.msg_id
    )::filaviva.decision order by e.ord)
    from ends e
  );
end
$$;

create function filaviva.apply_decisions(p_decisions filaviva.decision[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
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
  update public.jobs j set
    status = d.status, mode = d.mode, attempt = d.attempt, snoozes = d.snoozes,
    finished_at = case when d.run_at is null then p_now end,
    next_run_at = d.run_at,
    msg_id = case when d.run_at is null then j.msg_id end,
    waiting_reason = case
      when d.run_at is null or d.outcome = 'release' then null
      when d.mode = 'reconcile' then 'reconcile'
      when d.outcome = 'snooze' then 'polling'
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
  'Writes decisions to jobs, attempts, checkpoints and groups, and removes the messages. The jobs and groups must be locked.';

create function filaviva.lock_groups(p_job_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  perform from filaviva.job_groups g
  where (g.queue, g.group_key) in (
    select j.queue, j.group_key from public.jobs j where j.id = any (p_job_ids) and j.group_key is not null
  )
  order by g.queue, g.group_key for update;
end
$$;
comment on function filaviva.lock_groups(uuid[]) is 'Locks the groups of some jobs, by key.';

create or replace function filaviva.lock_jobs(p_job_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  perform filaviva.lock_groups(p_job_ids);
  perform from public.jobs j where j.id = any (p_job_ids) order by j.id for update;
end
$$;

create function filaviva.complete_jobs(p_results filaviva.settlement[], p_now timestamptz) returns uuid[]
language plpgsql volatile
set search_path = ''
set enable_seqscan = off  -- each job by its id, in the order of ids as every lock on jobs, and one hash of the results
set enable_bitmapscan = off
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
as $$
declare
  v_ids uuid[] := array(select r.job_id from unnest(p_results) r order by 1);
  v_done uuid[] := '{}';
  v_queue record;
begin
  for v_queue in
    with done as (
      update public.jobs j set
        status = 'completed', finished_at = p_now, lease_expires_at = null, progress = 100,
        result = coalesce(r.result, j.result), error_code = null, error_message = null,
        version = j.version + 1, updated_at = p_now
      from unnest(p_results) r
      where j.id = r.job_id and j.id = any (v_ids) and j.claim_id = r.claim_id and j.status = 'processing'
      returning j.id, j.queue, j.group_key, j.msg_id
    )
    select d.queue, array_agg(d.id) as ids, array_agg(d.msg_id) as msg_ids, bool_or(d.group_key is not null) as grouped, count(*) as completed
    from done d group by d.queue order by d.queue
  loop
    v_done := v_done || v_queue.ids;
    perform filaviva.finish(v_queue.queue, v_queue.ids, v_queue.msg_ids, v_queue.grouped, p_now, v_queue.completed, 0, 0, 0, 0);
  end loop;
  if exists (select from filaviva.job_checkpoints) then
    delete from filaviva.job_checkpoints c where c.job_id = any (v_done);
  end if;
  return v_done;
end
$$;
comment on function filaviva.complete_jobs(filaviva.settlement[], timestamptz) is 'Completes those of some jobs, in the order of their ids, whose claims hold; answers which. Their groups must be locked.';

create function filaviva.settle_jobs(p_results jsonb) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  v_results filaviva.settlement[] := filaviva.parse_settlements(p_results);
  v_done filaviva.settlement[];
  v_other filaviva.settlement[];
  v_decisions filaviva.decision[] := '{}';
  v_completed uuid[];
  v_now timestamptz;
begin
  if v_results = '{}' then
    return '[]';
  end if;
  select coalesce(array_agg(f.element order by f.job_id) filter (where f.outcome = 'done'), '{}'),
    coalesce(array_agg(f.element) filter (where f.outcome <> 'done'), '{}')
  into v_done, v_other
  from (
    -- The first element of a claim counts.
    select distinct on (r.job_id, r.claim_id) r as element, r.job_id, r.outcome from unnest(v_results) r order by r.job_id, r.claim_id, r.ord
  ) f;
  if v_other = '{}' then
    perform filaviva.lock_groups(array(select r.job_id from unnest(v_done) r));  -- the one statement below locks the jobs itself
  else
    perform filaviva.lock_jobs(array(select r.job_id from unnest(v_results) r));
  end if;
  v_now := filaviva.now();
  v_completed := filaviva.complete_jobs(v_done, v_now);
  if cardinality(v_completed) = cardinality(v_results) then
    return (select json_agg(json_build_object('job_id', r.job_id, 'applied', 'ok', 'status', 'completed')) from unnest(v_results) r);
  end if;
  if v_other <> '{}' then
    v_decisions := filaviva.decide(v_other, v_now);
    perform filaviva.apply_decisions(v_decisions, v_now);
  end if;
  return (
    select json_agg(json_build_object('job_id', r.job_id, 'applied', coalesce(d.applied, e.applied), 'status', j.status) order by r.ord)
    from unnest(v_results) r
    left join public.jobs j on j.id = r.job_id
    left join unnest(v_decisions) d on d.ord = r.ord,
    lateral (
      select case
        when j.id is null then 'gone'
        when j.claim_id is distinct from r.claim_id then 'stale'
        when r.job_id = any (v_completed) and not exists (
          select from unnest(v_results) b where b.job_id = r.job_id and b.claim_id = r.claim_id and b.ord < r.ord) then 'ok'
        else 'already'
      end as applied
    ) e
  );
end
$$;
comment on function filaviva.settle_jobs(jsonb) is
  'Ends attempts: [{job_id, claim_id, outcome, result?, error?, after_seconds?, until?, checkpoint?}]. Per element ok, already (sent again), stale (another claim came) or gone.';

create function filaviva.settle_and_claim(p_results jsonb, p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  v_settled json := filaviva.settle_jobs(p_results);
begin
  return json_build_object('settled', v_settled, 'claimed', filaviva.claim_jobs(p_queue, p_limit, p_worker_id, p_request_id));
end
$$;
comment on function filaviva.settle_and_claim(jsonb, text, int, text, uuid) is 'Settles the last batch and claims the next in one call: what a busy drain uses.';

create or replace function filaviva.commit_job(p_job_id uuid, p_claim_id bigint, p_checkpoint jsonb, p_reconcilable boolean, p_extend_seconds int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_job public.jobs;
begin
  if octet_length(p_checkpoint::text) > 65536 then
    perform filaviva.fail(413, 'payload_too_large', 'The checkpoint is above 64 KB.', 'Keep what is needed to find the call again, and no more.');
  end if;
  select * into v_job from public.jobs j where j.id = p_job_id for update;
  v_now := filaviva.now();
  if v_job.status is distinct from 'processing' or v_job.claim_id is distinct from p_claim_id
    or filaviva.is_lost(v_job, (select q from public.queues q where q.name = v_job.queue), v_now)
  then
    perform filaviva.fail(409, 'stale_claim', 'Another claim has taken this job, or it is over.', 'Do not make the irreversible call.');
  end if;
  if v_job.cancel_requested_at is not null then
    perform filaviva.fail(409, 'cancel_requested', 'The owner has asked to cancel this job.', 'Do not make the irreversible call; settle it as cancelled.');
  end if;
  if v_job.committed_at is null and v_job.expires_at <= v_now then
    perform filaviva.fail(409, 'expired', 'The job''s expires_at has passed.', 'Do not make the irreversible call; settle it as cancelled.');
  end if;
  insert into filaviva.job_checkpoints (job_id, checkpoint) values (p_job_id, coalesce(p_checkpoint, '{}'))
  on conflict (job_id) do update set checkpoint = excluded.checkpoint;
  update public.jobs j set
    committed_at = v_now, reconcilable = coalesce(p_reconcilable, false),
    lease_expires_at = greatest(j.lease_expires_at, v_now + make_interval(secs => least(greatest(p_extend_seconds, 0), 86400))),
    version = j.version + 1, updated_at = v_now
  where j.id = p_job_id
  returning * into v_job;
  return jsonb_build_object('committed_at', v_job.committed_at, 'lease_expires_at', v_job.lease_expires_at);
end
$$;
comment on function filaviva.commit_job(uuid, bigint, jsonb, boolean, int) is
  'The point of no return: acknowledged just before the one irreversible call, with what is needed to find out later whether it happened. Refuses stale claims, cancelled and expired jobs.';

create function public.settle_jobs(p_results jsonb) returns json
language sql security invoker
set search_path = ''
as $$ select filaviva.settle_jobs(p_results) $$;

create function public.settle_and_claim(p_results jsonb, p_queue text, p_limit int, p_worker_id text, p_request_id uuid) returns json
language sql security invoker
set search_path = ''
as $$ select filaviva.settle_and_claim(p_results, p_queue, p_limit, p_worker_id, p_request_id) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.settle_jobs(jsonb), public.settle_and_claim(jsonb, text, int, text, uuid)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.settle_jobs(jsonb), filaviva.settle_and_claim(jsonb, text, int, text, uuid) to service_role;
grant execute on function public.settle_jobs(jsonb), public.settle_and_claim(jsonb, text, int, text, uuid) to service_role;

