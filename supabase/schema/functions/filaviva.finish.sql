CREATE FUNCTION filaviva.finish(p_queue text, p_over uuid[], p_msg_ids bigint[], p_grouped boolean, p_now timestamp with time zone, p_completed bigint, p_failed bigint, p_cancelled bigint, p_unconfirmed bigint, p_again bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
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

COMMENT ON FUNCTION filaviva.finish(p_queue text, p_over uuid[], p_msg_ids bigint[], p_grouped boolean, p_now timestamp with time zone, p_completed bigint, p_failed bigint, p_cancelled bigint, p_unconfirmed bigint, p_again bigint) IS 'What every end of a claim has in common: a head that is over frees its group after the gap, the queue''s counts grow, the messages go.';

REVOKE ALL ON FUNCTION filaviva.finish(p_queue text, p_over uuid[], p_msg_ids bigint[], p_grouped boolean, p_now timestamp with time zone, p_completed bigint, p_failed bigint, p_cancelled bigint, p_unconfirmed bigint, p_again bigint) FROM PUBLIC;
