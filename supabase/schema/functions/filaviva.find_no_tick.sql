CREATE FUNCTION filaviva.find_no_tick(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_tick filaviva.heartbeats;
  v_missing constant text[] := array(
    select s.name from filaviva.schedules s
    where not exists (select from cron.job j where j.jobname = s.name and j.active)
    order by 1
  );
  v_orphans constant text[] := array(
    select distinct j.username from cron.job j where not exists (select from pg_catalog.pg_roles r where r.rolname = j.username) order by 1
  );
  v_reasons text[];
begin
  select * into v_tick from filaviva.heartbeats h where h.name = 'tick';
  v_reasons := array_remove(array[
    case when v_tick.at < p_now - make_interval(secs => p_rule.max_seconds) then
      format('the tick has not run for %s seconds', floor(extract(epoch from p_now - v_tick.at))) end,
    case when v_missing <> '{}' then format('cron lacks %s', array_to_string(v_missing, ', ')) end,
    case when v_orphans <> '{}' then format('cron has entries of dropped roles: %s', array_to_string(v_orphans, ', ')) end,
    case when v_tick.problem is not null then format('the tick met a problem with %s', v_tick.problem) end
  ], null);
  if v_reasons <> '{}' then
    return next row(null, 'The engine does not run as it should: ' || array_to_string(v_reasons, '; ') || '.', jsonb_build_object(
      'tick_at', v_tick.at, 'missing', v_missing, 'dropped_roles', v_orphans, 'problem', v_tick.problem
    ))::filaviva.finding;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.find_no_tick(p_rule public.alert_rules, p_now timestamp with time zone) IS 'A tick that is silent or met a problem, an entry of cron that is missing or disabled, or one that stops cron.';

REVOKE ALL ON FUNCTION filaviva.find_no_tick(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
