CREATE FUNCTION filaviva.findings(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  case p_rule.kind
    when 'failed_jobs' then return query select * from filaviva.find_failed_jobs(p_rule, p_now);
    when 'oldest_due' then return query select * from filaviva.find_oldest_due(p_rule, p_now);
    when 'no_drain' then return query select * from filaviva.find_no_drain(p_rule, p_now);
    when 'no_drain_url' then return query select * from filaviva.find_no_drain_url(p_rule, p_now);
    when 'no_tick' then return query select * from filaviva.find_no_tick(p_rule, p_now);
    when 'net_queue' then return query select * from filaviva.find_net_queue(p_rule, p_now);
    when 'old_transaction' then return query select * from filaviva.find_old_transaction(p_rule, p_now);
  end case;
end
$$;

REVOKE ALL ON FUNCTION filaviva.findings(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
