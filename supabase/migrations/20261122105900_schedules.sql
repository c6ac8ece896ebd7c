-- Schedules: what cron must run, kept as a table, so that one statement puts it all back:
--   select filaviva.schedule_all();
-- And the tick that leaves its mark, so that somebody outside of cron can tell that cron is dead.

create table filaviva.schedules (
  name text primary key,
  schedule text not null,
  command text not null
);
comment on table filaviva.schedules is 'Every entry of cron that the engine needs. A migration that needs another inserts it here and calls schedule_all().';
alter table filaviva.schedules enable row level security;
insert into filaviva.schedules (name, schedule, command)
select j.jobname, j.schedule, j.command from cron.job j where j.jobname like 'filaviva\_%';

create table filaviva.heartbeats (
  name text primary key,
  at timestamptz not null,
  problem text
);
comment on table filaviva.heartbeats is 'When something that must run again and again last did, and what went wrong in that run; null when nothing did.';
alter table filaviva.heartbeats enable row level security;
insert into filaviva.heartbeats (name, at) values ('tick', filaviva.now());

-- Repair ----------------------------------------------------------------------------------------

create function filaviva.drop_orphan_schedules() returns int
language plpgsql volatile
set search_path = ''
as $$
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
comment on function filaviva.drop_orphan_schedules() is
  'Removes the entries of roles that are gone: one such entry stops every entry of the database. Answers how many.';

create function filaviva.schedule_all() returns jsonb
language plpgsql volatile
set search_path = ''
as $$
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
comment on function filaviva.schedule_all() is
  'Puts every entry of cron back as it should be and removes what is known to stop cron: entries of dropped roles and, while the tick is silent, the history of runs. For SQL as postgres; may be repeated.';

-- The tick --------------------------------------------------------------------------------------

create or replace function filaviva.tick() returns jsonb
language plpgsql security definer
set search_path = ''
set lock_timeout = '1s'
as $$
declare
  v_now timestamptz := filaviva.now();
  v_has_drain constant boolean := filaviva.secret('filaviva_drain_url') is not null and filaviva.secret('filaviva_drain_token') is not null;
  v_queue public.queues;
  v_released int := 0;
  v_rescued int := 0;
  v_kicked int := 0;
  v_problem text;
begin
  if not pg_try_advisory_xact_lock(hashtext('filaviva.tick'), 0) then
    return jsonb_build_object('skipped', 'another tick is running');
  end if;
  begin
    perform filaviva.expire_jobs(1000);  -- first, since it waits for locks and holds none yet
  exception when others then
    v_problem := format('expiry: %s', sqlerrm);
  end;
  begin
    v_rescued := filaviva.rescue_jobs(1000);
  exception when others then
    v_problem := format('rescue: %s', sqlerrm);
  end;
  for v_queue in select * from public.queues q order by q.name loop
    begin
      v_released := v_released + filaviva.release_jobs(v_queue.name, v_now, 1000);
      if v_has_drain and filaviva.wants_drain(v_queue) then
        for _ in 1 .. v_queue.max_drains loop
          v_kicked := v_kicked + filaviva.post_drain(v_queue.name)::int;
        end loop;
      end if;
    exception when others then
      v_problem := format('queue %s: %s', v_queue.name, sqlerrm);
    end;
  end loop;
  delete from filaviva.claim_requests r where r.created_at < clock_timestamp() - interval '1 hour';
  perform filaviva.prune_hits(v_now);
  update filaviva.heartbeats set at = v_now, problem = v_problem where name = 'tick';
  return jsonb_build_object('released', v_released, 'rescued', v_rescued, 'kicked', v_kicked);
end
$$;
comment on function filaviva.tick() is
  'One turn of the engine, run by pg_cron every 10 seconds: releases what is due, rescues what was lost, cancels what has expired, wakes drains where there is work. What fails for one queue stops no other and becomes an alert, and so does a drain without address. Answers {released, rescued, kicked}.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
