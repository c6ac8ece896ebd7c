CREATE FUNCTION filaviva.drop_orphan_schedules() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_me constant text := current_setting('role');
  v_orphan record;
  v_jobid bigint;
  v_dropped int := 0;
begin
  for v_orphan in
    select j.username, array_agg(j.jobid) as jobids from cron.job j
    where not exists (select from pg_catalog.pg_roles r where r.rolname = j.username)
    group by j.username
  loop
    -- Only its owner may remove an entry: the role comes back for as long as that takes.
    execute format('create role %I', v_orphan.username);
    execute format('grant %I to %I', v_orphan.username, current_user);
    execute format('grant usage on schema cron to %I', v_orphan.username);
    perform set_config('role', v_orphan.username, true);
    foreach v_jobid in array v_orphan.jobids loop
      perform cron.unschedule(v_jobid);
      v_dropped := v_dropped + 1;
    end loop;
    perform set_config('role', v_me, true);
    execute format('revoke usage on schema cron from %I', v_orphan.username);
    execute format('drop role %I', v_orphan.username);
  end loop;
  return v_dropped;
end
$$;

COMMENT ON FUNCTION filaviva.drop_orphan_schedules() IS 'Removes the entries of roles that are gone: one such entry stops every entry of the database. Answers how many.';

REVOKE ALL ON FUNCTION filaviva.drop_orphan_schedules() FROM PUBLIC;
