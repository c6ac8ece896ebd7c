CREATE FUNCTION filaviva.find_no_drain(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select o.queue, format('Nobody has asked for jobs of %s for %s seconds, and work is due.', o.queue, p_rule.max_seconds), o.details
  from filaviva.find_oldest_due(p_rule, p_now) o
  where not filaviva.is_drained(o.queue, p_now - make_interval(secs => p_rule.max_seconds))
$$;

COMMENT ON FUNCTION filaviva.find_no_drain(p_rule public.alert_rules, p_now timestamp with time zone) IS 'Queues in which work is due and that no worker asks for work.';

REVOKE ALL ON FUNCTION filaviva.find_no_drain(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
