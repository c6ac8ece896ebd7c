CREATE FUNCTION filaviva.set_alert_rule(p_name text, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  c_known constant text[] := array['kind', 'queue', 'max_count', 'max_seconds', 'window_minutes', 'enabled'];
  v_unknown text;
  v_rule public.alert_rules;
begin
  perform filaviva.require_operator();
  if p_settings is null or jsonb_typeof(p_settings) <> 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_settings must be an object.', 'The settings are ' || array_to_string(c_known, ', ') || '.');
  end if;
  select k.key into v_unknown from jsonb_object_keys(p_settings) as k(key) where k.key <> all (c_known) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A rule has no setting %L.', v_unknown), 'The settings are ' || array_to_string(c_known, ', ') || '.');
  end if;
  if p_settings ->> 'queue' is not null then
    perform filaviva.require_queue(p_settings ->> 'queue');
  end if;
  select * into v_rule from public.alert_rules r where r.name = p_name;
  begin
    v_rule := jsonb_populate_record(v_rule, p_settings);
    insert into public.alert_rules as r (name, kind, queue, max_count, max_seconds, window_minutes, enabled)
    values (p_name, v_rule.kind, v_rule.queue, v_rule.max_count, v_rule.max_seconds, v_rule.window_minutes, coalesce(v_rule.enabled, true))
    on conflict (name) do update set
      kind = excluded.kind, queue = excluded.queue, max_count = excluded.max_count, max_seconds = excluded.max_seconds,
      window_minutes = excluded.window_minutes, enabled = excluded.enabled, updated_at = filaviva.now();
  exception when integrity_constraint_violation or data_exception then
    perform filaviva.fail(400, 'invalid_field', 'The rule cannot be set: ' || sqlerrm || '.',
      'failed_jobs needs max_count and window_minutes; net_queue max_count and max_seconds; every other kind max_seconds. Only failed_jobs, oldest_due and no_drain name a queue.');
  end;
end
$$;

COMMENT ON FUNCTION filaviva.set_alert_rule(p_name text, p_settings jsonb) IS 'Makes a rule, or changes the named settings of one that exists: {kind, queue, max_count, max_seconds, window_minutes, enabled}. A disabled rule fires no more, and what it had open is over.';

REVOKE ALL ON FUNCTION filaviva.set_alert_rule(p_name text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.set_alert_rule(p_name text, p_settings jsonb) TO authenticated;
GRANT ALL ON FUNCTION filaviva.set_alert_rule(p_name text, p_settings jsonb) TO service_role;
