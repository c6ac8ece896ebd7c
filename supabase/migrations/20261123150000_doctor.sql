-- The doctor: what `filaviva doctor` asks, so that the service key alone can tell what ails a project. diagnose() answers
-- facts and judges nothing; each subject is looked at in its own right, since what is broken may be what is asked.
-- Of secrets it tells whether they are there. The drain is tried from where it is called: from here, through pg_net.

create function filaviva.facts_of_engine(p_needs jsonb) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
  v_migration text;
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select max(m.version) from supabase_migrations.schema_migrations m' into v_migration;
  end if;
  return jsonb_build_object(
    'postgres', current_setting('server_version'),
    'started_at', pg_postmaster_start_time(),
    'database', current_database(),
    'clock', clock_timestamp(),
    'shifted_seconds', (select extract(epoch from c.shift) from filaviva.clock_shift c),
    'migration', v_migration,
    'missing_functions', (
      select coalesce(jsonb_agg(f.name order by f.name), '[]') from jsonb_array_elements_text(p_needs -> 'functions') as f(name)
      where not exists (select from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname = f.name)
    )
  );
end
$$;
comment on function filaviva.facts_of_engine(jsonb) is 'The server, its clock and the engines, the newest migration, and which needed functions are missing.';

create function filaviva.facts_of_tables(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', n.name,
    'exists', c.oid is not null,
    'rls', c.relrowsecurity,
    'policies', (select count(*) from pg_catalog.pg_policy p where p.polrelid = c.oid),
    'identity', c.relreplident,
    'has_key', exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary),
    'published', exists (
      select from pg_catalog.pg_publication_tables t
      where t.pubname = 'supabase_realtime' and t.schemaname = 'public' and t.tablename = n.name
    )
  ) order by n.name), '[]')
  from jsonb_array_elements_text(p_needs -> 'tables') as n(name)
    left join pg_catalog.pg_class c on c.relnamespace = 'public'::regnamespace and c.relname = n.name and c.relkind in ('r', 'p')
$$;
comment on function filaviva.facts_of_tables(jsonb) is 'Of each needed table: whether it is there, its row security, its policies, its replica identity, and whether it is published.';

create function filaviva.facts_of_publication(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object('exists', count(*) > 0, 'complete', coalesce(bool_and(p.pubinsert and p.pubupdate and p.pubdelete), false))
  from pg_catalog.pg_publication p where p.pubname = 'supabase_realtime'
$$;
comment on function filaviva.facts_of_publication(jsonb) is 'Whether Realtimes publication is there and has every kind of change.';

create function filaviva.facts_of_topics(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'hear', coalesce(bool_or(p.cmd in ('SELECT', 'ALL') and p.qual like '%may_use_topic%'), false),
    'speak', coalesce(bool_or(p.cmd in ('INSERT', 'ALL') and coalesce(p.with_check, p.qual) like '%may_use_topic%'), false)
  )
  from pg_catalog.pg_policies p where p.schemaname = 'realtime' and p.tablename = 'messages'
$$;
comment on function filaviva.facts_of_topics(jsonb) is 'Whether policies let users hear and speak on private topics.';

create function filaviva.facts_of_extensions(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'versions', (
      select coalesce(jsonb_object_agg(n.name, e.extversion), '{}')
      from unnest(array['pgmq', 'pg_cron', 'pg_net', 'supabase_vault']) as n(name)
        left join pg_catalog.pg_extension e on e.extname = n.name
    ),
    'missing_pgmq', (
      select coalesce(jsonb_agg(f.name order by f.name), '[]')
      from unnest(array['create', 'delete', 'read', 'send_batch', 'set_vt']) as f(name)
      where not exists (
        select from pg_catalog.pg_proc p join pg_catalog.pg_namespace s on s.oid = p.pronamespace
        where s.nspname = 'pgmq' and p.proname = f.name
      )
    )
  )
$$;
comment on function filaviva.facts_of_extensions(jsonb) is 'The versions of the extensions, and which of the needed functions pgmq lacks.';

create function filaviva.facts_of_schedules(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
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
comment on function filaviva.facts_of_schedules(jsonb) is 'Of each entry that cron must have: whether it is there and active, and how its runs ended; and the ticks mark.';

create function filaviva.facts_of_drain(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'has_url', filaviva.secret('filaviva_drain_url') is not null,
    'has_token', filaviva.secret('filaviva_drain_token') is not null,
    'waiting', (select count(*) from net.http_request_queue),
    'answers', (
      select coalesce(jsonb_agg(to_jsonb(a)), '[]')
      from (
        select r.status_code, left(r.error_msg, 200) as error, coalesce(r.timed_out, false) as timed_out, count(*) as count, max(r.created) as last_at
        from net._http_response r where r.created > clock_timestamp() - interval '1 hour'
        group by 1, 2, 3 order by max(r.created) desc limit 10
      ) a
    )
  )
$$;
comment on function filaviva.facts_of_drain(jsonb) is 'Whether the vault names the drain, how many requests wait in pg_net, and what those of the last hour met.';

create function filaviva.facts_of_queues(p_needs jsonb) returns jsonb
language sql volatile
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', q.name,
    'paused_seconds', extract(epoch from n.at - q.paused_at),
    'due_seconds', extract(epoch from n.at - filaviva.due_since(q.name, n.at)),
    'drained', filaviva.is_drained(q.name, n.at - interval '1 minute'),
    'lost_leases', (
      select count(*) from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(q.name, 'hidden') d))
        and j.status = 'processing' and j.lease_expires_at < n.at - interval '15 seconds'
    )
  ) order by q.name), '[]')
  from public.queues q, (select filaviva.now() as at) n
$$;
comment on function filaviva.facts_of_queues(jsonb) is 'Of each queue: since when it is paused, since when work is due, whether somebody asks for it, and how many jobs lost their worker.';

create function filaviva.facts_of_workers(p_needs jsonb) returns jsonb
language sql volatile
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'worker_id', w.worker_id, 'queues', w.queues, 'stopping', w.stopping, 'silent_seconds', extract(epoch from filaviva.now() - w.seen_at)
  ) order by w.worker_id), '[]')
  from filaviva.workers w
$$;
comment on function filaviva.facts_of_workers(jsonb) is 'The long-running workers, and for how long they have been silent.';

create function filaviva.facts_of_alerts(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'open', (
      select coalesce(jsonb_agg(jsonb_build_object('rule', a.rule, 'kind', a.kind, 'queue', a.queue, 'message', a.message) order by a.id), '[]')
      from public.alerts a where a.resolved_at is null
    ),
    'broken_rules', (
      select coalesce(jsonb_agg(jsonb_build_object('name', r.name, 'problem', r.problem) order by r.name), '[]')
      from public.alert_rules r where r.enabled and r.problem is not null
    )
  )
$$;
comment on function filaviva.facts_of_alerts(jsonb) is 'The open alerts, and the rules that cannot be checked.';

create function filaviva.facts_of_accounts(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(a)), '[]')
  from (
    select s.platform, s.status, s.reconnect_reason as reason, count(*) as count
    from public.social_accounts s group by 1, 2, 3 order by 1, 2, 3
  ) a
$$;
comment on function filaviva.facts_of_accounts(jsonb) is 'How many connected accounts of each platform there are, and how many must be connected again, for which reason.';

create function filaviva.facts_of_server(p_needs jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'connections', (select count(*) from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
    'max_connections', current_setting('max_connections')::int,
    'old_transaction', (
      select to_jsonb(f) from filaviva.find_old_transaction(
        jsonb_populate_record(null::public.alert_rules, '{"max_seconds": 60}'), clock_timestamp()
      ) f
    )
  )
$$;
comment on function filaviva.facts_of_server(jsonb) is 'How many connections are taken, and the oldest transaction that has been open for over a minute.';

create function filaviva.facts_of(p_subject text, p_needs jsonb) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
  v_facts jsonb;
begin
  execute format('select filaviva.%I($1)', 'facts_of_' || p_subject) into v_facts using p_needs;
  return v_facts;
exception when others then
  return jsonb_build_object('unknown', sqlerrm);
end
$$;
comment on function filaviva.facts_of(text, jsonb) is 'The facts of one subject, or {unknown: why} when it cannot be looked at.';

create function filaviva.diagnose(p_needs jsonb) returns jsonb
language sql volatile security definer
set search_path = ''
as $$
  select jsonb_object_agg(s.subject, filaviva.facts_of(s.subject, p_needs))
  from unnest(array[
    'engine', 'tables', 'publication', 'topics', 'extensions', 'schedules', 'drain', 'queues', 'workers', 'alerts', 'accounts', 'server'
  ]) as s(subject)
$$;
comment on function filaviva.diagnose(jsonb) is
  'How the project stands, one key a subject, none of them judged. p_needs: {tables, functions}, the names in schema public that the caller relies on. Holds no secret.';

-- The drain, tried -------------------------------------------------------------------------------

create function filaviva.probe_drain() returns bigint
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_url constant text := filaviva.secret('filaviva_drain_url');
  v_token constant text := filaviva.secret('filaviva_drain_token');
begin
  if v_url is null or v_token is null then
    return null;
  end if;
  return net.http_post(
    url := v_url,
    body := jsonb_build_object('queues', '[]'::jsonb),
    headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_token),
    timeout_milliseconds := 5000
  );
end
$$;
comment on function filaviva.probe_drain() is
  'Asks pg_net to call the drain for no queue at all: that shows whether it is there and takes the token, and does nothing else. Answers the request''s number; null when no drain is configured.';

create function filaviva.probe_answer(p_request_id bigint) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object(
    'status_code', r.status_code, 'error', left(r.error_msg, 200), 'timed_out', coalesce(r.timed_out, false),
    'is_drain', coalesce(r.content like '%"claimed"%', false)
  )
  from net._http_response r where r.id = p_request_id
$$;
comment on function filaviva.probe_answer(bigint) is 'What came of a call of probe_drain(): {status_code, error, timed_out, is_drain}; null while it is under way.';

create function public.diagnose(p_needs jsonb default '{"tables": [], "functions": []}') returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.diagnose(p_needs) $$;
comment on function public.diagnose(jsonb) is 'How the project stands, for `filaviva doctor`; for the service role.';

create function public.probe_drain() returns bigint
language sql security invoker
set search_path = ''
as $$ select filaviva.probe_drain() $$;
comment on function public.probe_drain() is 'Calls the drain for no queue, to see whether it answers; for the service role.';

create function public.probe_answer(p_request_id bigint) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.probe_answer(p_request_id) $$;
comment on function public.probe_answer(bigint) is 'What came of a call of probe_drain(); for the service role.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.diagnose(jsonb), public.probe_drain(), public.probe_answer(bigint)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.diagnose(jsonb), filaviva.probe_drain(), filaviva.probe_answer(bigint) to service_role;
grant execute on function public.diagnose(jsonb), public.probe_drain(), public.probe_answer(bigint) to service_role;
