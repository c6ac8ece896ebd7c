-- Rescue on a clock of its own: a job of a dead worker is held for at most five seconds after its lease,
-- not until the next tick. Every four seconds, since pg_cron may be a second late. Where nothing was claimed
-- for an hour nothing is looked for; a claim that is older than that, in a database so quiet, is left to the tick.

insert into filaviva.schedules (name, schedule, command) values
  ('filaviva_rescue', '4 seconds', 'select filaviva.rescue_jobs(1000) where exists (select from filaviva.claim_requests)');
select filaviva.schedule_all();

-- Runs of cron are remembered for a day when they went well: these are now 43,000 a day.
create or replace function filaviva.prune_history() returns void
language plpgsql security definer
set search_path = ''
as $$
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
comment on function filaviva.prune_history() is
  'Run by cron every day at 02:00: forgets what claims answered, marks of kicks, runs of cron (after a day, those that went wrong after 7), alerts that were over 30 days ago, and messages of no living job.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
