CREATE FUNCTION filaviva.prune_history() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
begin
  delete from filaviva.claim_requests r where r.created_at < clock_timestamp() - interval '1 hour';
  delete from filaviva.kick_marks;
  delete from cron.job_run_details d
  where coalesce(d.end_time, d.start_time) < clock_timestamp() - case d.status when 'succeeded' then interval '1 day' else interval '7 days' end;
  delete from public.alerts a where a.resolved_at < v_now - interval '30 days';
  perform filaviva.prune_messages();
end
$$;

COMMENT ON FUNCTION filaviva.prune_history() IS 'Run by cron every day at 02:00: forgets what claims answered, marks of kicks, runs of cron (after a day, those that went wrong after 7), alerts that were over 30 days ago, and messages of no living job.';

REVOKE ALL ON FUNCTION filaviva.prune_history() FROM PUBLIC;
