CREATE FUNCTION filaviva.facts_of_schedules(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  with runs as (
    select d.jobid, min(d.start_time) as since,
      max(d.end_time) filter (where d.status = 'succeeded') as last_success,
      max(d.start_time) filter (where d.status = 'failed') as last_failure,
      count(*) filter (where d.status = 'failed' and d.start_time > clock_timestamp() - interval '1 hour') as failures,
      (array_agg(left(d.return_message, 500) order by d.start_time desc) filter (where d.status = 'failed'))[1] as message
    from cron.job_run_details d group by d.jobid
  )
  select jsonb_build_object(
    'tick_at', (select h.at from filaviva.heartbeats h where h.name = 'tick'),
    'tick_problem', (select h.problem from filaviva.heartbeats h where h.name = 'tick'),
    'now', filaviva.now(),
    'clock', clock_timestamp(),
    'history_since', (select min(r.since) from runs r),
    'entries', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'name', s.name, 'schedule', s.schedule,
        'is_there', j.jobid is not null, 'active', j.active, 'unchanged', (j.schedule, j.command) is not distinct from (s.schedule, s.command),
        'last_success', r.last_success, 'last_failure', r.last_failure, 'failures', coalesce(r.failures, 0), 'message', r.message
      ) order by s.name), '[]')
      from filaviva.schedules s
        left join cron.job j on j.jobname = s.name
        left join runs r on r.jobid = j.jobid
    )
  )
$$;

COMMENT ON FUNCTION filaviva.facts_of_schedules(p_needs jsonb) IS 'Of each entry that cron must have: whether it is there and active, and how its runs ended; and the ticks mark.';

REVOKE ALL ON FUNCTION filaviva.facts_of_schedules(p_needs jsonb) FROM PUBLIC;
