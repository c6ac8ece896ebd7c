CREATE FUNCTION filaviva.find_oldest_due(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select q.name, format('A job of %s has been due for %s seconds.', q.name, floor(extract(epoch from p_now - d.since))),
    jsonb_build_object('due_since', d.since)
  from public.queues q, lateral (select filaviva.due_since(q.name, p_now) as since) d
  where q.paused_at is null and (p_rule.queue is null or q.name = p_rule.queue)
    and d.since < p_now - make_interval(secs => p_rule.max_seconds)
$$;

COMMENT ON FUNCTION filaviva.find_oldest_due(p_rule public.alert_rules, p_now timestamp with time zone) IS 'Queues in which a job that may run waits for too long.';

REVOKE ALL ON FUNCTION filaviva.find_oldest_due(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
