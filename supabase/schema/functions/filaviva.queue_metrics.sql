CREATE FUNCTION filaviva.queue_metrics(p_queue text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  c_window constant interval := interval '5 minutes';
begin
  perform filaviva.require_operator();
  if p_queue is not null then
    perform filaviva.require_queue(p_queue);
  end if;
  return (
    with ended as (
      select e.queue, e.at > v_now - c_window as is_now,
        sum(e.completed + e.failed + e.cancelled + e.unconfirmed) as finished,
        sum(e.failed + e.unconfirmed) as bad, sum(e.completed + e.failed + e.unconfirmed) as judged
      from filaviva.settled e
      where e.at > v_now - 2 * c_window and e.at <= v_now
      group by 1, 2
    ), rates as (
      select e.queue, e.is_now,
        round(e.finished / (extract(epoch from c_window) / 60), 2) as processing_rate,
        coalesce(round(100.0 * e.bad / nullif(e.judged, 0), 2), 0) as error_rate
      from ended e
    )
    select coalesce(jsonb_agg(jsonb_build_object(
        'queue', q.name, 'paused', q.paused_at is not null,
        'size', w.due + w.later + w.blocked, 'due', w.due, 'later', w.later, 'blocked', w.blocked, 'processing', w.processing,
        'oldest_seconds', coalesce(greatest(0, round(extract(epoch from v_now - filaviva.due_since(q.name, v_now)), 1)), 0),
        'processing_rate', coalesce(n.processing_rate, 0), 'error_rate', coalesce(n.error_rate, 0),
        'queue_trend', w.due + w.later + w.blocked - (
          select s.size from filaviva.queue_samples s
          where s.queue = q.name and s.size is not null and s.at <= v_now - c_window and s.at > v_now - 2 * c_window
          order by s.at desc limit 1
        ),
        'processing_trend', coalesce(n.processing_rate, 0) - coalesce(b.processing_rate, 0),
        'error_trend', coalesce(n.error_rate, 0) - coalesce(b.error_rate, 0)
      ) order by q.name), '[]')
    from public.queues q
    cross join lateral filaviva.waiting_counts(q.name) w
    left join rates n on n.queue = q.name and n.is_now
    left join rates b on b.queue = q.name and not b.is_now
    where p_queue is null or q.name = p_queue
  );
end
$$;

COMMENT ON FUNCTION filaviva.queue_metrics(p_queue text) IS 'For operators, one object a queue. size: pending and retrying jobs = due (may run now) + later (wait for a time) + blocked (behind their group or a limit). processing: jobs that run.
oldest_seconds: how long the longest waiting due job has been due; 0 when none is.
processing_rate: jobs that ended a minute, over the last 5 minutes, however they ended. error_rate: percent of the claims that ended a job as completed, failed or unconfirmed in those 5 minutes which ended it as failed or unconfirmed; retries, snoozes and cancellations are left out; 0 when none ended.
Trends compare with the 5 minutes before, above 0 when the figure grew: queue_trend in jobs (null until there is a sample of that age), processing_trend in jobs a minute, error_trend in percentage points. Exact to 10 seconds.';

REVOKE ALL ON FUNCTION filaviva.queue_metrics(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.queue_metrics(p_queue text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.queue_metrics(p_queue text) TO service_role;
