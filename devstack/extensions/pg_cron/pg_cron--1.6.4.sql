-- pg_cron as a hosted project has it, in plain SQL: the same tables, functions, rights and messages.
-- Who runs the jobs is devstack, which listens on channel pg_cron_job for changes of cron.job.
-- Real pg_cron checks and writes in C as the caller. Here each public function hands current_user
-- on to a definer function with p_caller, since inside definer code the caller cannot be seen.

create schema cron;

create sequence cron.jobid_seq;
create sequence cron.runid_seq;

create table cron.job (
  jobid bigint primary key default nextval('cron.jobid_seq'),
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport int not null default inet_server_port(),
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  constraint jobname_username_uniq unique (jobname, username)
);
alter table cron.job enable row level security;
create policy cron_job_policy on cron.job using (username = current_user);

create table cron.job_run_details (
  jobid bigint,
  runid bigint primary key default nextval('cron.runid_seq'),
  job_pid int,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);
alter table cron.job_run_details enable row level security;
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);

create function cron.job_cache_invalidate() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform pg_notify('pg_cron_job', '');
  return null;
end
$$;

create trigger cron_job_cache_invalidate
  after insert or update or delete or truncate on cron.job
  for each statement execute function cron.job_cache_invalidate();

-- What a schedule is ------------------------------------------------------------------------------
-- The rules of Vixie cron as pg_cron inherits them, its leniency included: after a complete item
-- whatever follows up to the next blank is ignored, and so is everything after the fifth field.
-- devstack/cron_schedule.py reads schedules by the same rules, and a test holds the two together.

create function cron._in_bounds(p_token text, p_low int, p_high int, p_names text[]) returns boolean
language sql immutable
set search_path = ''
as $$
  select coalesce(
    coalesce(
      p_low - 1 + array_position(p_names, lower(p_token)),
      case when p_token ~ '^[0-9]+$' then p_token::numeric end
    ) between p_low and p_high,
    false
  )
$$;
comment on function cron._in_bounds(text, int, int, text[]) is 'Whether a token is a number, or a name that stands for one, within bounds.';

create function cron._is_field(p_field text, p_low int, p_high int, p_names text[] default '{}') returns boolean
language plpgsql immutable
set search_path = ''
as $$
declare
  v_rest text := p_field;
  v_star text; v_first text; v_last text; v_step text;
begin
  loop
    select m[1], m[2], m[3], m[4], m[5] into v_star, v_first, v_last, v_step, v_rest
    from regexp_match(v_rest, '^(?:(\*)|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9A-Za-z]+))?(.*)$') m;
    if v_rest is null or (v_step is null and v_rest like '/%') or v_step !~ '^0*[1-9][0-9]*$' then
      return false;
    end if;
    if v_star is null and v_last is null and (v_step is not null or v_rest like '-%') then
      return false;  -- a step needs a range, and a range its end
    end if;
    if v_star is null and not (
      cron._in_bounds(v_first, p_low, p_high, p_names)
      and cron._in_bounds(coalesce(v_last, v_first), p_low, p_high, p_names)
    ) then
      return false;
    end if;
    if v_rest not like ',%' then
      return true;
    end if;
    v_rest := substr(v_rest, 2);
  end loop;
end
$$;
comment on function cron._is_field(text, int, int, text[]) is 'Whether a text is a list of numbers, ranges and steps within bounds.';

create function cron._is_schedule(p_schedule text) returns boolean
language plpgsql immutable
set search_path = ''
as $$
declare
  v_text text := regexp_replace(p_schedule, '^([ \t]*(#[^\n]*)?\n)*[ \t]*', '');
  v_fields text[] := regexp_split_to_array(v_text, '[ \t]+');
begin
  if p_schedule ~* '^\s*\+?0*([1-9]|[1-5][0-9])\s*second(s\s*)?$' then
    return true;
  end if;
  if octet_length(p_schedule) >= 1000 then
    return false;
  end if;
  if v_text like '@%' then
    return split_part(split_part(v_fields[1], E'\n', 1), '@', 2) in
      ('reboot', 'restart', 'yearly', 'annually', 'monthly', 'weekly', 'daily', 'midnight', 'hourly');
  end if;
  return cardinality(v_fields) >= 5
    and array_to_string(v_fields[1:4], '') !~ '\n'
    and cron._is_field(v_fields[1], 0, 59)
    and cron._is_field(v_fields[2], 0, 23)
    and (v_fields[3] = '$' or cron._is_field(v_fields[3], 1, 31))
    and cron._is_field(v_fields[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}')
    and cron._is_field(v_fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
end
$$;
comment on function cron._is_schedule(text) is 'Whether pg_cron accepts a schedule.';

create function cron._check_schedule(p_schedule text) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if not cron._is_schedule(p_schedule) then
    raise invalid_parameter_value using
      message = format('invalid schedule: %s', p_schedule),
      hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
  end if;
end
$$;

-- Writing cron.job --------------------------------------------------------------------------------

create function cron._required(p_name text, p_value text) returns text
language plpgsql
set search_path = ''
as $$
begin
  if p_value is null then
    raise internal_error using message = format('%s can not be NULL', p_name);
  end if;
  return p_value;
end
$$;

create function cron._is_superuser(p_role text) returns boolean
language sql stable
set search_path = ''
as $$ select r.rolsuper from pg_catalog.pg_roles r where r.rolname = p_role $$;

create function cron._check_role(p_role text) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  v_can_login boolean := (select r.rolcanlogin from pg_catalog.pg_roles r where r.rolname = p_role);
begin
  if v_can_login is null then
    raise internal_error using message = format('role "%s" does not exist', p_role);
  elsif not v_can_login then
    raise internal_error using
      message = format('role "%s" can not log in', p_role),
      detail = 'Jobs may only be run by roles that have the LOGIN attribute.';
  end if;
end
$$;

create function cron._check_connect(p_role text, p_database text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if not has_database_privilege(p_role, p_database, 'connect') then  -- raises 3D000 for an unknown database
    raise internal_error using message = format('User %s does not have CONNECT privilege on %s', p_role, p_database);
  end if;
end
$$;

create function cron._save_job(
  p_caller text, p_jobname text, p_schedule text, p_command text, p_database text, p_username text, p_active boolean
) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  v_database text := coalesce(p_database, current_database());
  v_jobid bigint;
begin
  perform cron._check_schedule(p_schedule);
  if p_username is not null then
    if not cron._is_superuser(p_caller) then
      raise internal_error using message = 'must be superuser to create a job for another role';
    end if;
    perform cron._check_role(p_username);
  end if;
  perform cron._check_connect(coalesce(p_username, p_caller), v_database);
  insert into cron.job (schedule, command, nodeport, database, username, active, jobname)
  values (
    p_schedule, p_command, current_setting('port')::int, v_database, coalesce(p_username, p_caller),
    coalesce(p_active, true), p_jobname
  )
  on conflict on constraint jobname_username_uniq do update
    set schedule = excluded.schedule, command = excluded.command, database = excluded.database
  returning jobid into v_jobid;
  return v_jobid;
end
$$;

create function cron._delete_job(p_caller text, p_job cron.job) returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  if lower(p_job.username) <> lower(p_caller) and not has_table_privilege(p_caller, 'cron.job', 'delete') then
    raise insufficient_privilege using message = 'permission denied for table job';
  end if;
  delete from cron.job where jobid = p_job.jobid;
  return true;
end
$$;

create function cron._unschedule(p_caller text, p_jobid bigint) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job cron.job;
begin
  select * into v_job from cron.job where jobid = p_jobid;
  if not found then
    raise internal_error using message = format('could not find valid entry for job %s', p_jobid);
  end if;
  return cron._delete_job(p_caller, v_job);
end
$$;

create function cron._unschedule(p_caller text, p_jobname text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_job cron.job;
begin
  select * into v_job from cron.job where jobname = p_jobname and username = p_caller;
  if not found then
    raise internal_error using message = format('could not find valid entry for job ''%s''', p_jobname);
  end if;
  return cron._delete_job(p_caller, v_job);
end
$$;

create function cron._alter_job(
  p_caller text, p_jobid bigint, p_schedule text, p_command text, p_database text, p_username text, p_active boolean
) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_superuser boolean := cron._is_superuser(p_caller);
begin
  if p_jobid is null then
    raise internal_error using message = 'job_id can not be NULL';
  end if;
  if p_username is not null then
    if not v_superuser then
      raise internal_error using message = 'must be superuser to alter username';
    end if;
    perform cron._check_role(p_username);
  end if;
  if p_database is not null then
    perform cron._check_connect(coalesce(p_username, p_caller), p_database);
  end if;
  if p_schedule is not null then
    perform cron._check_schedule(p_schedule);
  end if;
  if num_nonnulls(p_schedule, p_command, p_database, p_username, p_active) = 0 then
    raise internal_error using
      message = 'no updates specified',
      hint = 'You must specify at least one job attribute to change when calling alter_job';
  end if;
  update cron.job set
    schedule = coalesce(p_schedule, schedule),
    command = coalesce(p_command, command),
    database = coalesce(p_database, database),
    username = coalesce(p_username, username),
    active = coalesce(p_active, active)
  where jobid = p_jobid and (v_superuser or username = p_caller);
  if not found then
    raise internal_error using message = format('Job %s does not exist or you don''t own it', p_jobid);
  end if;
end
$$;

-- The functions people call -----------------------------------------------------------------------

create function cron.schedule(schedule text, command text) returns bigint
language sql strict
set search_path = ''
as $$ select cron._save_job(current_user, null, schedule, command, null, null, true) $$;
comment on function cron.schedule(text, text) is 'schedule a pg_cron job';

create function cron.schedule(job_name text, schedule text, command text) returns bigint
language sql
set search_path = ''
as $$
  select cron._save_job(
    current_user, cron._required('job_name', job_name), cron._required('schedule', schedule),
    cron._required('command', command), null, null, true
  )
$$;
comment on function cron.schedule(text, text, text) is 'schedule a pg_cron job';

create function cron.schedule_in_database(
  job_name text, schedule text, command text, database text, username text default null, active boolean default true
) returns bigint
language sql
set search_path = ''
as $$
  select cron._save_job(
    current_user, cron._required('job_name', job_name), cron._required('schedule', schedule),
    cron._required('command', command), database, username, active
  )
$$;
comment on function cron.schedule_in_database(text, text, text, text, text, boolean) is 'schedule a pg_cron job';

create function cron.unschedule(job_id bigint) returns boolean
language sql strict
set search_path = ''
as $$ select cron._unschedule(current_user, job_id) $$;
comment on function cron.unschedule(bigint) is 'unschedule a pg_cron job';

create function cron.unschedule(job_name text) returns boolean
language sql strict
set search_path = ''
as $$ select cron._unschedule(current_user, job_name) $$;
comment on function cron.unschedule(text) is 'unschedule a pg_cron job';

create function cron.alter_job(
  job_id bigint, schedule text default null, command text default null, database text default null,
  username text default null, active boolean default null
) returns void
language sql
set search_path = ''
as $$ select cron._alter_job(current_user, job_id, schedule, command, database, username, active) $$;
comment on function cron.alter_job(bigint, text, text, text, text, boolean) is
  'Alter the job identified by job_id. Any option left as NULL will not be modified.';

-- Access ------------------------------------------------------------------------------------------

revoke execute on function
  cron.schedule_in_database(text, text, text, text, text, boolean),
  cron.alter_job(bigint, text, text, text, text, boolean)
from public;
grant select on cron.job to public;
grant select, delete on cron.job_run_details to public;

grant usage on schema cron to postgres with grant option;
grant all on all functions in schema cron to postgres with grant option;
grant all on all tables in schema cron to postgres with grant option;
revoke all on cron.job from postgres;
grant select on cron.job to postgres with grant option;
revoke trigger on cron.job_run_details from postgres;

select pg_extension_config_dump('cron.job', '');
select pg_extension_config_dump('cron.jobid_seq', '');
select pg_extension_config_dump('cron.job_run_details', '');
select pg_extension_config_dump('cron.runid_seq', '');

select pg_notify('pg_cron_job', '');  -- a scheduler that was there before the extension looks again
