CREATE FUNCTION filaviva.schedule_all() RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_is_silent constant boolean := (select h.at < filaviva.now() - interval '30 seconds' from filaviva.heartbeats h where h.name = 'tick');
  v_dropped int := filaviva.drop_orphan_schedules();
  v_schedule filaviva.schedules;
  v_count int := 0;
begin
  for v_schedule in select * from filaviva.schedules s order by s.name loop
    perform cron.alter_job(cron.schedule(v_schedule.name, v_schedule.schedule, v_schedule.command), active := true);
    v_count := v_count + 1;
  end loop;
  if v_is_silent then
    -- A run number that was used before, after a restore, stops cron for as long as that run is remembered.
    truncate cron.job_run_details;
  end if;
  return jsonb_build_object('scheduled', v_count, 'orphans_dropped', v_dropped, 'history_emptied', v_is_silent);
end
$$;

COMMENT ON FUNCTION filaviva.schedule_all() IS 'Puts every entry of cron back as it should be and removes what is known to stop cron: entries of dropped roles and, while the tick is silent, the history of runs. For SQL as postgres; may be repeated.';

REVOKE ALL ON FUNCTION filaviva.schedule_all() FROM PUBLIC;
