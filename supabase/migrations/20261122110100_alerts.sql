-- Alerts: rules that are checked twice a minute, and one row for as long as a rule fires.
-- Operators see alerts live; each is also posted once to a webhook when it opens and once when it
-- is over. Cron may be what is broken, so check_alerts() can be called from anywhere else as well.
-- docs/alerts.md says for every kind what it means and which statement helps.

create table public.alert_rules (
  name text primary key constraint rule_name_is_simple check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  kind text not null constraint kind_of_rule_is_known
    check (kind in ('failed_jobs', 'oldest_due', 'no_drain', 'no_drain_url', 'no_tick', 'net_queue', 'old_transaction')),
  queue text references public.queues (name)
    constraint only_rules_about_jobs_name_a_queue check (queue is null or kind in ('failed_jobs', 'oldest_due', 'no_drain')),
  max_count int constraint max_count_is_not_negative check (max_count >= 0),
  max_seconds int constraint max_seconds_is_positive check (max_seconds > 0),
  window_minutes int constraint window_is_between_a_minute_and_a_day check (window_minutes between 1 and 1440),
  enabled boolean not null default true,
  problem text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint max_count_belongs_to_failed_jobs_and_net_queue check ((max_count is not null) = (kind in ('failed_jobs', 'net_queue'))),
  constraint window_minutes_belongs_to_failed_jobs check ((window_minutes is not null) = (kind = 'failed_jobs')),
  constraint max_seconds_belongs_to_all_but_failed_jobs check ((max_seconds is not null) = (kind <> 'failed_jobs'))
);
create index alert_rules_by_queue on public.alert_rules (queue);
comment on table public.alert_rules is 'When operators want to know. Changed by set_alert_rule().';
comment on column public.alert_rules.queue is 'The queue it is about. Null: every queue, each by itself.';
comment on column public.alert_rules.max_count is 'failed_jobs: fires above so many within window_minutes. net_queue: above so many requests that wait.';
comment on column public.alert_rules.problem is 'Why the last check of this rule failed; null while it can be checked.';

create table public.alerts (
  id bigint generated always as identity primary key,
  rule text not null references public.alert_rules (name) on delete cascade,
  kind text not null,
  queue text,
  message text not null,
  details jsonb not null default '{}',
  opened_at timestamptz not null,
  resolved_at timestamptz,
  version bigint not null default 1
);
create unique index one_open_alert_a_rule_and_queue on public.alerts (rule, queue) nulls not distinct where resolved_at is null;
create index alerts_by_rule on public.alerts (rule);
comment on table public.alerts is 'One row for as long as a rule fires for a queue; resolved_at is set when it is over. Message and details tell what was seen first.';

insert into public.alert_rules (name, kind, max_count, max_seconds, window_minutes) values
  ('failed_jobs', 'failed_jobs', 10, null, 5),
  ('oldest_due', 'oldest_due', null, 300, null),
  ('no_drain', 'no_drain', null, 60, null),
  ('no_drain_url', 'no_drain_url', null, 10, null),
  ('no_tick', 'no_tick', null, 30, null),
  ('net_queue', 'net_queue', 1000, 30, null),
  ('old_transaction', 'old_transaction', null, 60, null);

create function filaviva.set_alert_rule(p_name text, p_settings jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
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
comment on function filaviva.set_alert_rule(text, jsonb) is
  'Makes a rule, or changes the named settings of one that exists: {kind, queue, max_count, max_seconds, window_minutes, enabled}. A disabled rule fires no more, and what it had open is over.';

-- What is looked for ----------------------------------------------------------------------------

create type filaviva.finding as (queue text, message text, details jsonb);
comment on type filaviva.finding is 'One reason to fire that the check of a rule found.';

create function filaviva.is_drained(p_queue text, p_since timestamptz) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return exists (select from filaviva.claim_times c where c.queue = p_queue and c.claimed_at > p_since)
    or exists (
      select from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'hidden') d))
        and j.status = 'processing' and j.lease_expires_at > filaviva.now()
    );
end
$$;
comment on function filaviva.is_drained(text, timestamptz) is 'Whether somebody asked a queue for work since a time, or runs a job of it now.';

create function filaviva.find_failed_jobs(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language sql stable
set search_path = ''
as $$
  select s.queue, format('%s jobs of %s failed within %s minutes.', sum(s.failed + s.unconfirmed), s.queue, p_rule.window_minutes),
    jsonb_build_object('count', sum(s.failed + s.unconfirmed))
  from filaviva.settled s
  where s.at > p_now - make_interval(mins => p_rule.window_minutes) and (p_rule.queue is null or s.queue = p_rule.queue)
  group by s.queue
  having sum(s.failed + s.unconfirmed) > p_rule.max_count
$$;
comment on function filaviva.find_failed_jobs(public.alert_rules, timestamptz) is 'Queues in which more jobs than allowed failed, or ended so that nobody can tell.';

create function filaviva.find_oldest_due(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language sql stable
set search_path = ''
as $$
  select q.name, format('A job of %s has been due for %s seconds.', q.name, floor(extract(epoch from p_now - d.since))),
    jsonb_build_object('due_since', d.since)
  from public.queues q, lateral (select filaviva.due_since(q.name, p_now) as since) d
  where q.paused_at is null and (p_rule.queue is null or q.name = p_rule.queue)
    and d.since < p_now - make_interval(secs => p_rule.max_seconds)
$$;
comment on function filaviva.find_oldest_due(public.alert_rules, timestamptz) is 'Queues in which a job that may run waits for too long.';

create function filaviva.find_no_drain(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language sql stable
set search_path = ''
as $$
  select o.queue, format('Nobody has asked for jobs of %s for %s seconds, and work is due.', o.queue, p_rule.max_seconds), o.details
  from filaviva.find_oldest_due(p_rule, p_now) o
  where not filaviva.is_drained(o.queue, p_now - make_interval(secs => p_rule.max_seconds))
$$;
comment on function filaviva.find_no_drain(public.alert_rules, timestamptz) is 'Queues in which work is due and that no worker asks for work.';

create function filaviva.find_no_drain_url(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language plpgsql stable
set search_path = ''
as $$
declare
  v_queues constant text[] := array(select n.queue from filaviva.find_no_drain(p_rule, p_now) n order by 1);
begin
  if v_queues <> '{}' and (filaviva.secret('filaviva_drain_url') is null or filaviva.secret('filaviva_drain_token') is null) then
    return next row(null, 'No drain is configured, and work is due.', jsonb_build_object('queues', v_queues))::filaviva.finding;
  end if;
end
$$;
comment on function filaviva.find_no_drain_url(public.alert_rules, timestamptz) is 'Work that nobody takes, while the vault holds no address to call.';

create function filaviva.find_no_tick(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language plpgsql stable
set search_path = ''
as $$
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
comment on function filaviva.find_no_tick(public.alert_rules, timestamptz) is
  'A tick that is silent or met a problem, an entry of cron that is missing or disabled, or one that stops cron.';

create table filaviva.net_watch (
  only_row boolean primary key default true constraint there_is_one_row check (only_row),
  first_id bigint,
  seen_at timestamptz
);
comment on table filaviva.net_watch is 'The request at the head of pg_net''s queue, and when it was first seen there: pg_net itself notes no time.';
alter table filaviva.net_watch enable row level security;
insert into filaviva.net_watch default values;

create function filaviva.find_net_queue(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language plpgsql volatile
set search_path = ''
as $$
declare
  v_waiting record;
  v_watch filaviva.net_watch;
begin
  select count(*) as n, min(r.id) as first_id into v_waiting from net.http_request_queue r;
  update filaviva.net_watch w set first_id = v_waiting.first_id, seen_at = p_now where w.first_id is distinct from v_waiting.first_id;
  select * into v_watch from filaviva.net_watch;
  if v_waiting.n > p_rule.max_count or (v_waiting.n > 0 and v_watch.seen_at < p_now - make_interval(secs => p_rule.max_seconds)) then
    return next row(null, format('%s requests wait in pg_net, the first for %s seconds.', v_waiting.n, floor(extract(epoch from p_now - v_watch.seen_at))),
      jsonb_build_object('count', v_waiting.n, 'first_seen_at', v_watch.seen_at))::filaviva.finding;
  end if;
end
$$;
comment on function filaviva.find_net_queue(public.alert_rules, timestamptz) is 'Wake-up calls that pile up or are not sent.';

create function filaviva.find_old_transaction(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language sql stable
set search_path = ''
as $$
  select null, format('A transaction of %s has been open for %s seconds, and no dead row can be removed until it ends.',
      o.usename, floor(extract(epoch from p_now - o.started_at))),
    jsonb_build_object('pid', o.pid, 'user', o.usename, 'application', o.application_name, 'state', o.state, 'prepared', o.gid, 'since', o.started_at)
  from (
    select a.pid, a.usename::text, a.application_name, a.state, null::text as gid, a.xact_start as started_at
    from pg_catalog.pg_stat_activity a
    where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
      and (a.backend_xmin is not null or a.backend_xid is not null)
    union all
    select null, p.owner::text, null, null, p.gid, p.prepared
    from pg_catalog.pg_prepared_xacts p where p.database = current_database()
  ) o
  where o.started_at < p_now - make_interval(secs => p_rule.max_seconds)
  order by o.started_at
  limit 1
$$;
comment on function filaviva.find_old_transaction(public.alert_rules, timestamptz) is
  'The oldest transaction that holds back the removal of dead rows: every queue grows slower with each of them.';

create function filaviva.findings(p_rule public.alert_rules, p_now timestamptz) returns setof filaviva.finding
language plpgsql volatile
set search_path = ''
as $$
begin
  case p_rule.kind
    when 'failed_jobs' then return query select * from filaviva.find_failed_jobs(p_rule, p_now);
    when 'oldest_due' then return query select * from filaviva.find_oldest_due(p_rule, p_now);
    when 'no_drain' then return query select * from filaviva.find_no_drain(p_rule, p_now);
    when 'no_drain_url' then return query select * from filaviva.find_no_drain_url(p_rule, p_now);
    when 'no_tick' then return query select * from filaviva.find_no_tick(p_rule, p_now);
    when 'net_queue' then return query select * from filaviva.find_net_queue(p_rule, p_now);
    when 'old_transaction' then return query select * from filaviva.find_old_transaction(p_rule, p_now);
  end case;
end
$$;

-- The check -------------------------------------------------------------------------------------

create function filaviva.post_alert(p_alert public.alerts) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_url text := filaviva.secret('filaviva_alert_url');
begin
  if v_url is not null then
    perform net.http_post(
      url := v_url,
      body := jsonb_build_object(
        'event', case when p_alert.resolved_at is null then 'opened' else 'resolved' end,
        'text', case when p_alert.resolved_at is null then '' else 'Over: ' end || p_alert.message,
        'alert', to_jsonb(p_alert)
      ),
      timeout_milliseconds := 2000
    );
  end if;
exception when others then
  raise warning 'filaviva: an alert could not be posted: %', sqlerrm;
end
$$;
comment on function filaviva.post_alert(public.alerts) is
  'Asks pg_net to post {event: opened|resolved, text, alert} to the address in the vault under filaviva_alert_url, if there is one. Never raises.';

create function filaviva.check_rule(p_rule public.alert_rules, p_now timestamptz, out opened int, out resolved int)
language plpgsql volatile
set search_path = ''
as $$
declare
  v_findings filaviva.finding[] := '{}';
  v_alert public.alerts;
begin
  if p_rule.enabled then
    v_findings := array(select f from filaviva.findings(p_rule, p_now) f);
  end if;
  opened := 0;
  for v_alert in
    insert into public.alerts (rule, kind, queue, message, details, opened_at)
    select p_rule.name, p_rule.kind, f.queue, f.message, f.details, p_now from unnest(v_findings) f
    on conflict do nothing
    returning *
  loop
    perform filaviva.post_alert(v_alert);
    opened := opened + 1;
  end loop;
  resolved := 0;
  for v_alert in
    update public.alerts a set resolved_at = p_now, version = a.version + 1
    where a.rule = p_rule.name and a.resolved_at is null
      and not exists (select from unnest(v_findings) f where f.queue is not distinct from a.queue)
    returning *
  loop
    perform filaviva.post_alert(v_alert);
    resolved := resolved + 1;
  end loop;
end
$$;
comment on function filaviva.check_rule(public.alert_rules, timestamptz) is 'Opens an alert for each new finding of a rule and ends those that are found no more.';

create function filaviva.check_alerts() returns jsonb
language plpgsql security definer
set search_path = ''
set lock_timeout = '1s'
as $$
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
comment on function filaviva.check_alerts() is
  'Checks every rule, each in its own right: {opened, resolved, broken, open}. Run by cron every 30 seconds, and by whoever else wants to know that cron is alive; one at a time.';

create function public.set_alert_rule(p_name text, p_settings jsonb) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.set_alert_rule(p_name, p_settings) $$;
comment on function public.set_alert_rule(text, jsonb) is 'Makes an alert rule or changes one; for operators.';

create function public.check_alerts() returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.check_alerts() $$;
comment on function public.check_alerts() is 'Checks every alert rule now: {opened, resolved, broken, open}; for the service role.';

insert into filaviva.schedules (name, schedule, command) values ('filaviva_alerts', '30 seconds', 'select filaviva.check_alerts()');
select filaviva.schedule_all();

-- Access ----------------------------------------------------------------------------------------

alter table public.alert_rules enable row level security;
alter table public.alerts enable row level security;
create policy "operators read alert rules" on public.alert_rules for select to authenticated using ((select filaviva.is_operator()));
create policy "operators read alerts" on public.alerts for select to authenticated using ((select filaviva.is_operator()));
revoke all on public.alert_rules, public.alerts from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.alert_rules, public.alerts to authenticated, service_role;
alter publication supabase_realtime add table public.alerts;

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.set_alert_rule(text, jsonb), public.check_alerts()
  from public, anon, authenticated, service_role;
grant execute on function filaviva.set_alert_rule(text, jsonb) to authenticated, service_role;
grant execute on function public.set_alert_rule(text, jsonb) to authenticated, service_role;
grant execute on function filaviva.check_alerts() to service_role;
grant execute on function public.check_alerts() to service_role;
