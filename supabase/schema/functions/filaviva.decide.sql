CREATE FUNCTION filaviva.decide(p_results filaviva.settlement[], p_now timestamp with time zone) RETURNS filaviva.decision[]
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION filaviva.decide(p_results filaviva.settlement[], p_now timestamp with time zone) IS 'The whole rule of what an outcome does to a job, without changing anything. The jobs must be locked.';

REVOKE ALL ON FUNCTION filaviva.decide(p_results filaviva.settlement[], p_now timestamp with time zone) FROM PUBLIC;
