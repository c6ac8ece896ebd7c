CREATE FUNCTION filaviva.check_rule(p_rule public.alert_rules, p_now timestamp with time zone, OUT opened integer, OUT resolved integer) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_findings filaviva.finding[] := '{}';
  v_alert public.alerts;
begin
  if p_rule.enabled then
    v_findings := array(select f from filaviva.findings(p_rule, p_now) f);
  end if;
  opened := 0;
  for v_alert in
    insert into public.alerts (rule, kind, queue, message, details, opened_at)
    select p_rule.name, p_rule.kind, f.queue, f.message, f.details, p_now from unnest(v_findings) f
    on conflict do nothing
    returning *
  loop
    perform filaviva.post_alert(v_alert);
    opened := opened + 1;
  end loop;
  resolved := 0;
  for v_alert in
    update public.alerts a set resolved_at = p_now, version = a.version + 1
    where a.rule = p_rule.name and a.resolved_at is null
      and not exists (select from unnest(v_findings) f where f.queue is not distinct from a.queue)
    returning *
  loop
    perform filaviva.post_alert(v_alert);
    resolved := resolved + 1;
  end loop;
end
$$;

COMMENT ON FUNCTION filaviva.check_rule(p_rule public.alert_rules, p_now timestamp with time zone, OUT opened integer, OUT resolved integer) IS 'Opens an alert for each new finding of a rule and ends those that are found no more.';

REVOKE ALL ON FUNCTION filaviva.check_rule(p_rule public.alert_rules, p_now timestamp with time zone, OUT opened integer, OUT resolved integer) FROM PUBLIC;
