CREATE FUNCTION filaviva.check_alerts() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '1s'
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_rule public.alert_rules;
  v_done record;
  v_opened int := 0; v_resolved int := 0; v_broken int := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext('filaviva.alerts'), 0) then
    return jsonb_build_object('skipped', 'another check is running');
  end if;
  for v_rule in select * from public.alert_rules r order by r.name loop
    begin
      select * into v_done from filaviva.check_rule(v_rule, v_now);
      v_opened := v_opened + v_done.opened;
      v_resolved := v_resolved + v_done.resolved;
      update public.alert_rules r set problem = null where r.name = v_rule.name and r.problem is not null;
    exception when others then
      v_broken := v_broken + 1;
      update public.alert_rules r set problem = left(sqlerrm, 500) where r.name = v_rule.name;
    end;
  end loop;
  return jsonb_build_object(
    'opened', v_opened, 'resolved', v_resolved, 'broken', v_broken,
    'open', (select count(*) from public.alerts a where a.resolved_at is null)
  );
end
$$;

COMMENT ON FUNCTION filaviva.check_alerts() IS 'Checks every rule, each in its own right: {opened, resolved, broken, open}. Run by cron every 30 seconds, and by whoever else wants to know that cron is alive; one at a time.';

REVOKE ALL ON FUNCTION filaviva.check_alerts() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.check_alerts() TO service_role;
