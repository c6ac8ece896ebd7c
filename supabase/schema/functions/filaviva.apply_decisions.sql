CREATE FUNCTION filaviva.apply_decisions(p_decisions filaviva.decision[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION filaviva.apply_decisions(p_decisions filaviva.decision[], p_now timestamp with time zone) IS 'Writes decisions to jobs, attempts, checkpoints and groups, and removes the messages. A failed attempt gives its turn up, except the first that lost its worker. The jobs and groups must be locked.';

REVOKE ALL ON FUNCTION filaviva.apply_decisions(p_decisions filaviva.decision[], p_now timestamp with time zone) FROM PUBLIC;
