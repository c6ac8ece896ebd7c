-- Arguments: every call that people or programs make by hand says what is wrong with it, where
-- PostgreSQL's own words would not help. And numbers that would stop a queue are no settings.

alter table public.queues
  add constraint stall_is_at_most_30_days check (stall_seconds <= 2592000),
  add constraint backoff_is_a_number check (backoff_base_seconds < 'NaN' and backoff_factor < 'NaN' and backoff_max_seconds < 'NaN');

create or replace function filaviva.create_queue(p_name text, p_settings jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_unknown text;
begin
  perform filaviva.require_operator();
  if coalesce(p_name, '') !~ '^[a-z][a-z0-9_]{0,46}$' then
    perform filaviva.fail(400, 'invalid_field', 'p_name must be 1 to 47 lower case letters, digits and _, the first a letter.', 'Choose another name.');
  end if;
  if jsonb_typeof(p_settings) is distinct from 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_settings must be an object.', 'Send {"concurrency": 5}, for instance; {} for the defaults.');
  end if;
  select k.key into v_unknown
  from jsonb_object_keys(p_settings) as k(key)
  where k.key in ('name', 'paused_at', 'created_at') or not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'public.queues'::regclass and a.attname = k.key and a.attnum > 0 and not a.attisdropped
  )
  limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A queue has no setting %L.', v_unknown), 'The settings are the columns of public.queues.');
  end if;

  insert into public.queues (name) values (p_name) on conflict do nothing;
  if found then
    perform pgmq.create(p_name);
    -- Messages come and go at the rate of jobs: vacuum by count, not by share of the table.
    execute format(
      'alter table pgmq.%I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)',
      'q_' || p_name
    );
    insert into filaviva.kicks (queue) values (p_name);
  elsif p_settings ? 'concurrency' then
    perform filaviva.mark_for_kick(array[p_name]);  -- there may be room now
  end if;
  if p_settings <> '{}' then
    begin
      execute format(
        'update public.queues q set %s from jsonb_populate_record(null::public.queues, $2) s where q.name = $1',
        (select string_agg(format('%1$I = s.%1$I', k.key), ', ') from jsonb_object_keys(p_settings) as k(key))
      ) using p_name, p_settings;
    exception when data_exception or integrity_constraint_violation then
      perform filaviva.fail(400, 'invalid_field', 'A setting cannot be taken: ' || sqlerrm || '.', 'The comments on the columns of public.queues say what each may be.');
    end;
  end if;
end
$$;

create or replace function filaviva.register_kind(p_kind text, p_settings jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_kind public.kinds;
  v_unknown text;
begin
  perform filaviva.require_operator();
  if coalesce(p_kind, '') !~ '^[a-z][a-z0-9_-]{0,62}$' then
    perform filaviva.fail(400, 'invalid_field', 'p_kind must be 1 to 63 lower case letters, digits, - and _, the first a letter.', 'Choose another name.');
  end if;
  if jsonb_typeof(p_settings) is distinct from 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_settings must be an object.', 'Send {"queue": "…"}, at least.');
  end if;
  select k.key into v_unknown from jsonb_object_keys(p_settings) as k(key)
  where k.key <> all (array['queue', 'timeout_seconds', 'max_attempts', 'user_may_enqueue']) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A kind has no setting %L.', v_unknown), 'The settings are queue, timeout_seconds, max_attempts, user_may_enqueue.');
  end if;
  begin
    select * into v_kind from public.kinds k where k.kind = p_kind;
    v_kind := jsonb_populate_record(v_kind, p_settings);
    perform filaviva.require_queue(v_kind.queue);
    insert into public.kinds (kind, queue, timeout_seconds, max_attempts, user_may_enqueue)
    values (p_kind, v_kind.queue, v_kind.timeout_seconds, v_kind.max_attempts, coalesce(v_kind.user_may_enqueue, false))
    on conflict (kind) do update set
      queue = excluded.queue, timeout_seconds = excluded.timeout_seconds,
      max_attempts = excluded.max_attempts, user_may_enqueue = excluded.user_may_enqueue;
  exception when data_exception or integrity_constraint_violation then
    perform filaviva.fail(400, 'invalid_field', 'A setting cannot be taken: ' || sqlerrm || '.', 'Numbers are whole and at least 1; user_may_enqueue is true or false.');
  end;
end
$$;

create or replace function filaviva.configure_drain(p_url text, p_token text, p_call_timeout_ms int) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  if coalesce(p_url, '') !~ '^https?://' then
    perform filaviva.fail(400, 'invalid_field', 'p_url must be an http(s) address.', 'Send the address of /api/queue/process.');
  end if;
  if coalesce(p_token, '') = '' or coalesce(p_call_timeout_ms, 0) not between 1 and 60000 then
    perform filaviva.fail(400, 'invalid_field', 'p_token must not be empty, and p_call_timeout_ms must be from 1 to 60,000.', 'The token is the functions'' CRON_SECRET.');
  end if;
  perform filaviva.put_secret('filaviva_drain_url', p_url);
  perform filaviva.put_secret('filaviva_drain_token', p_token);
  update filaviva.drain_settings set call_timeout_ms = p_call_timeout_ms;
end
$$;

create or replace function filaviva.extend_leases(p_leases jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_ids uuid[];
  v_answer jsonb;
begin
  if p_leases is null or jsonb_typeof(p_leases) <> 'array' then
    perform filaviva.fail(400, 'invalid_leases', 'p_leases must be an array.', 'Send [{"job_id": …, "claim_id": …}, …].');
  end if;
  begin
    v_ids := array(
      select l.job_id from jsonb_to_recordset(p_leases) as l(job_id uuid, claim_id bigint, progress numeric, note text) where l.job_id is not null);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_leases', 'An element cannot be read: ' || sqlerrm || '.', 'job_id is a uuid, claim_id and progress are numbers.');
  end;
  perform from public.jobs j where j.id = any (v_ids) order by j.id for update;
  v_now := filaviva.now();
  update public.jobs j set
    lease_expires_at = least(v_now + make_interval(secs => q.lease_seconds), j.started_at + make_interval(secs => q.stall_seconds)),
    progress = coalesce(least(greatest(nullif(l.progress, 'NaN'), 0), 100), j.progress),
    progress_note = coalesce(left(l.note, 500), j.progress_note),
    version = j.version + 1, updated_at = v_now
  from jsonb_to_recordset(p_leases) as l(job_id uuid, claim_id bigint, progress numeric, note text), public.queues q
  where j.id = l.job_id and j.id = any (v_ids) and j.claim_id = l.claim_id and j.status = 'processing' and q.name = j.queue;

  select jsonb_agg(
      case when j.id is null then jsonb_build_object('job_id', l.job_id, 'stale', true)
      else jsonb_build_object('job_id', l.job_id, 'lease_expires_at', j.lease_expires_at, 'cancel_requested', j.cancel_requested_at is not null) end
      order by l.ord)
  into v_answer
  from rows from (jsonb_to_recordset(p_leases) as (job_id uuid, claim_id bigint)) with ordinality as l(job_id, claim_id, ord)
  left join public.jobs j on j.id = l.job_id and j.id = any (v_ids) and j.claim_id = l.claim_id and j.status = 'processing';
  return coalesce(v_answer, '[]');
end
$$;

create or replace function filaviva.parse_settlements(p_results jsonb) returns filaviva.settlement[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_results filaviva.settlement[];
  v_bad record;
begin
  if p_results is null or jsonb_typeof(p_results) <> 'array' then
    perform filaviva.fail(400, 'invalid_results', 'p_results must be an array.', 'Send [{"job_id": …, "claim_id": …, "outcome": …}, …].');
  end if;
  begin
    v_results := array(
      select row(r.ord, r.job_id, r.claim_id, r.outcome, r.result, left(r.error ->> 'code', 100), left(r.error ->> 'message', 2000),
        case when octet_length((r.error -> 'details')::text) <= 16384 then r.error -> 'details' end, r.until, r.after_seconds, r.checkpoint)::filaviva.settlement
      from rows from (jsonb_to_recordset(p_results) as (
          job_id uuid, claim_id bigint, outcome text, result jsonb, error jsonb, until timestamptz, after_seconds numeric, checkpoint jsonb
        )) with ordinality as r(job_id, claim_id, outcome, result, error, until, after_seconds, checkpoint, ord)
      order by r.ord
    );
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_results', 'An element cannot be read: ' || sqlerrm || '.', 'job_id is a uuid, claim_id a number, until an ISO 8601 time.');
  end;
  select p.ord, p.problem into v_bad
  from (
    select r.ord, case
        when r.job_id is null or r.claim_id is null then 'needs job_id and claim_id'
        when r.outcome is null or r.outcome not in ('done', 'retry', 'snooze', 'release', 'reject', 'unconfirmed', 'cancelled')
          then 'has no known outcome'
        when r.outcome = 'snooze' and r.run_at is null and r.after_seconds is null then 'is a snooze without until or after_seconds'
        when not isfinite(r.run_at) or r.after_seconds not between 0 and 315360000 then 'waits for no time within ten years'
        when octet_length(r.result::text) > 65536 then 'has a result above 64 KB'
        when octet_length(r.checkpoint::text) > 65536 then 'has a checkpoint above 64 KB'
        when r.result @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))'
          or r.checkpoint @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))' then 'holds a number beyond 1e308'
      end as problem
    from unnest(v_results) r
  ) p
  where p.problem is not null
  order by p.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_results', format('Element %s %s.', v_bad.ord - 1, v_bad.problem), 'Nothing was settled; correct it and send the call again.');
  end if;
  return v_results;
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
