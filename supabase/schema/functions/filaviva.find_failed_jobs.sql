CREATE FUNCTION filaviva.find_failed_jobs(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select s.queue, format('%s jobs of %s failed within %s minutes.', sum(s.failed + s.unconfirmed), s.queue, p_rule.window_minutes),
    jsonb_build_object('count', sum(s.failed + s.unconfirmed))
  from filaviva.settled s
  where s.at > p_now - make_interval(mins => p_rule.window_minutes) and (p_rule.queue is null or s.queue = p_rule.queue)
  group by s.queue
  having sum(s.failed + s.unconfirmed) > p_rule.max_count
$$;

COMMENT ON FUNCTION filaviva.find_failed_jobs(p_rule public.alert_rules, p_now timestamp with time zone) IS 'Queues in which more jobs than allowed failed, or ended so that nobody can tell.';

REVOKE ALL ON FUNCTION filaviva.find_failed_jobs(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
