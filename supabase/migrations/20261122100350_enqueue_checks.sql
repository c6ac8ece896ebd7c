-- What an enqueue call may say: checked in one pass, against form, catalogue and caller. The first
-- wrong position is named.

drop function public.enqueue_jobs(jsonb);
drop function filaviva.enqueue_jobs(jsonb);
drop function filaviva.ready_for_window(text, timestamptz, filaviva.new_job[], int[]);
drop function filaviva.yield_to_priority(filaviva.new_job[], int[], timestamptz);
alter type filaviva.new_job add attribute expires_at timestamptz;

-- Checking --------------------------------------------------------------------------------------

create or replace function filaviva.check_job_requests(p_jobs jsonb) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  c_known constant text[] := array['kind', 'queue', 'payload', 'metadata', 'priority', 'group_key', 'idempotency_key',
    'correlation_id', 'scheduled_at', 'expires_at', 'max_attempts', 'company_id', 'instance_id', 'user_id'];
  c_time constant text := '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?$';
  -- No number that a caller's JSON cannot hold: whoever reads one such job would lose the whole answer.
  c_huge constant jsonpath := '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))';
  v_text text;
  v_is_long boolean; v_has_digits boolean;
  v_bad int;
begin
  if p_jobs is null or jsonb_typeof(p_jobs) <> 'array' or jsonb_array_length(p_jobs) not between 1 and 10000 then
    perform filaviva.fail(400, 'invalid_jobs', 'p_jobs must be an array of 1 to 10,000 jobs.', 'Send [{"kind": …, "payload": …}, …].');
  end if;
  v_text := p_jobs::text;  -- what is rare is looked for once in the whole
  v_is_long := octet_length(v_text) > 64000;
  v_has_digits := v_text ~ '[0-9]{250}';
  select e.ord - 1 into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord)
  where case when jsonb_typeof(e.job) <> 'object' then true else
    (e.job - c_known) <> '{}'
    or jsonb_typeof(e.job -> 'kind') is distinct from 'string'
    or jsonb_typeof(e.job -> 'payload') <> 'object'
    or jsonb_typeof(e.job -> 'metadata') <> 'object'
    or e.job ->> 'priority' !~ '^([0-9]|10)$'
    or e.job ->> 'max_attempts' !~ '^([1-9][0-9]?|100)$'
    or length(e.job ->> 'group_key') not between 1 and 200
    or length(e.job ->> 'idempotency_key') not between 1 and 200
    or length(e.job ->> 'correlation_id') > 200
    or length(e.job ->> 'instance_id') not between 1 and 200
    or e.job ->> 'scheduled_at' !~ c_time
    or e.job ->> 'expires_at' !~ c_time
    or (v_is_long and (octet_length((e.job -> 'payload')::text) > 256000 or octet_length((e.job -> 'metadata')::text) > 64000))
    or (v_has_digits and e.job @? c_huge)
    end
  order by e.ord limit 1;
  if found then
    perform filaviva.refuse_job_request(p_jobs -> v_bad, v_bad, c_known);
  end if;
end
$$;
comment on function filaviva.check_job_requests(jsonb) is 'Raises an error that names the first wrong position and field of an enqueue call.';

create function filaviva.refuse_job_request(p_job jsonb, p_position int, p_known text[]) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  v_field text; v_expected text;
begin
  if jsonb_typeof(p_job) <> 'object' then
    perform filaviva.fail(400, 'invalid_jobs', format('Job %s must be an object, not %s.', p_position, jsonb_typeof(p_job)), 'Send {"kind": …, "payload": …}.');
  end if;
  select k.field into v_field from jsonb_object_keys(p_job) as k(field) where k.field <> all (p_known) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('Job %s has an unknown field %L.', p_position, v_field),
      'The fields are ' || array_to_string(p_known, ', ') || '.');
  end if;
  if octet_length((p_job -> 'payload')::text) > 256000 or octet_length((p_job -> 'metadata')::text) > 64000 then
    perform filaviva.fail(413, 'payload_too_large', format('The payload of job %s is above 250 KB, or its metadata above 62 KB.', p_position),
      'Store large data in a bucket and put its address into the payload.');
  end if;
  select f.field, f.expected into v_field, v_expected
  from (values
    ('kind', 'a string', jsonb_typeof(p_job -> 'kind') is distinct from 'string'),
    ('payload', 'an object', jsonb_typeof(p_job -> 'payload') <> 'object'),
    ('metadata', 'an object', jsonb_typeof(p_job -> 'metadata') <> 'object'),
    ('priority', 'a whole number from 0 to 10', p_job ->> 'priority' !~ '^([0-9]|10)$'),
    ('max_attempts', 'a whole number from 1 to 100', p_job ->> 'max_attempts' !~ '^([1-9][0-9]?|100)$'),
    ('group_key', 'a string of 1 to 200 characters', length(p_job ->> 'group_key') not between 1 and 200),
    ('idempotency_key', 'a string of 1 to 200 characters', length(p_job ->> 'idempotency_key') not between 1 and 200),
    ('instance_id', 'a string of 1 to 200 characters', length(p_job ->> 'instance_id') not between 1 and 200),
    ('correlation_id', 'a string of at most 200 characters', length(p_job ->> 'correlation_id') > 200),
    ('a number', 'between -1e308 and 1e308', p_job @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
  ) as f(field, expected, wrong)
  where f.wrong limit 1;
  if not found then
    v_field := case when p_job ->> 'scheduled_at' !~ '^[0-9]{4}-.*[0-9Z]$' or not p_job ? 'expires_at' then 'scheduled_at' else 'expires_at' end;
    v_expected := 'an ISO 8601 time such as 2026-11-21T12:00:00Z';
  end if;
  perform filaviva.fail(400, 'invalid_field', format('%s of job %s must be %s.', v_field, p_position, v_expected), 'Correct the field and send the call again.');
end
$$;
comment on function filaviva.refuse_job_request(jsonb, int, text[]) is 'Says what is wrong with an element that did not pass the check.';

create or replace function filaviva.read_job_requests(p_jobs jsonb, p_owner uuid) returns setof filaviva.new_job
language plpgsql volatile
set search_path = ''
as $$
begin
  return query
  select r.ord::int, gen_random_uuid(), nextval('filaviva.job_seq'), coalesce(r.queue, k.queue), r.kind,
    coalesce(r.user_id, p_owner), r.company_id, r.instance_id,
    coalesce(r.payload, '{}'), coalesce(r.metadata, '{}'), coalesce(r.priority, 0), r.group_key, r.idempotency_key,
    case when r.idempotency_key is not null
      then sha256(convert_to(((p_jobs -> (r.ord::int - 1)) - 'idempotency_key')::text, 'UTF8')) end,
    r.correlation_id, r.scheduled_at,
    coalesce(r.max_attempts, k.max_attempts, q.max_attempts), coalesce(k.timeout_seconds, q.timeout_seconds), r.expires_at
  from rows from (jsonb_to_recordset(p_jobs) as (
      kind text, queue text, payload jsonb, metadata jsonb, priority int, group_key text, idempotency_key text,
      correlation_id text, scheduled_at timestamptz, expires_at timestamptz, max_attempts int, company_id uuid, instance_id text, user_id uuid
    )) with ordinality as r(kind, queue, payload, metadata, priority, group_key, idempotency_key,
      correlation_id, scheduled_at, expires_at, max_attempts, company_id, instance_id, user_id, ord)
  left join public.kinds k on k.kind = r.kind
  left join public.queues q on q.name = coalesce(r.queue, k.queue)
  order by r.ord;
end
$$;

create function filaviva.check_targets(p_jobs filaviva.new_job[]) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  v_trusted constant boolean := filaviva.is_trusted();
  v_bad record;
begin
  select t.* into v_bad
  from (
    select n.ord - 1 as position, n.kind, n.queue, k.kind is null as no_kind, q.name is null as no_queue,
      not v_trusted and n.user_id is distinct from auth.uid() as foreign,
      not v_trusted and (not k.user_may_enqueue or n.queue <> k.queue or n.instance_id is not null) as service_only,
      n.user_id is not null and not exists (select from auth.users a where a.id = n.user_id) as no_user,
      n.company_id is not null and not exists (select from public.companies c where c.id = n.company_id) as no_company,
      n.company_id is not null and not v_trusted and not exists (
        select from public.company_members m where m.company_id = n.company_id and m.user_id = n.user_id) as stranger
    from (
      select min(u.ord) as ord, u.kind, u.queue, u.user_id, u.company_id, u.instance_id from unnest(p_jobs) u
      group by u.kind, u.queue, u.user_id, u.company_id, u.instance_id
    ) n
    left join public.kinds k on k.kind = n.kind
    left join public.queues q on q.name = n.queue
  ) t
  where t.no_kind or t.no_queue or t.foreign or t.service_only or t.no_user or t.no_company or t.stranger
  order by t.position limit 1;
  if not found then
    return;
  elsif v_bad.no_kind then
    perform filaviva.fail(400, 'unknown_kind', format('Job %s has the unknown kind %L.', v_bad.position, v_bad.kind), 'Register the kind with register_kind(), or correct its name.');
  elsif v_bad.no_queue then
    perform filaviva.fail(400, 'unknown_queue', format('Job %s names the unknown queue %L.', v_bad.position, v_bad.queue), 'Make the queue with create_queue(), or leave the field out.');
  elsif v_bad.foreign then
    perform filaviva.fail(403, 'foreign_user', format('Job %s names another user.', v_bad.position), 'Leave user_id out: the owner is the signed-in user.');
  elsif v_bad.service_only then
    perform filaviva.fail(403, 'service_only', format('Job %s may be enqueued by the service role alone.', v_bad.position),
      'A user may enqueue kinds with user_may_enqueue into their own queue, without instance_id.');
  elsif v_bad.no_user then
    perform filaviva.fail(400, 'unknown_user', format('Job %s names a user who does not exist.', v_bad.position), 'Check user_id; the user may have been deleted.');
  elsif v_bad.no_company then
    perform filaviva.fail(400, 'unknown_company', format('Job %s names a company that does not exist.', v_bad.position), 'Make it with create_company(), or correct company_id.');
  else
    perform filaviva.fail(403, 'not_a_member', format('Job %s names a company that its owner does not belong to.', v_bad.position), 'Leave company_id out, or add the user with set_company_member().');
  end if;
end
$$;
comment on function filaviva.check_targets(filaviva.new_job[]) is 'Raises an error that names the first job whose kind, queue, owner, company or instance the caller may not use, or that does not exist.';

create or replace function filaviva.parse_job_requests(p_jobs jsonb) returns filaviva.new_job[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_owner constant uuid := filaviva.caller_id();
  v_jobs filaviva.new_job[];
  v_late int;
begin
  perform filaviva.check_job_requests(p_jobs);
  begin
    v_jobs := array(select r from filaviva.read_job_requests(p_jobs, v_owner) r);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'A field of a job cannot be read: ' || sqlerrm || '.',
      'scheduled_at and expires_at are ISO 8601 times; user_id and company_id are uuids.');
  end;
  perform filaviva.check_targets(v_jobs);
  select n.ord - 1 into v_late from unnest(v_jobs) n where n.expires_at <= n.scheduled_at order by n.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('expires_at of job %s must be later than its scheduled_at.', v_late), 'Correct the field and send the call again.');
  end if;
  return v_jobs;
end
$$;

create or replace function filaviva.first_jobs(p_jobs filaviva.new_job[])
returns table (ord int, first_id uuid, is_new boolean)
language plpgsql stable
set search_path = ''
set enable_seqscan = off  -- a key is looked up by its index, however few jobs there are
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
  return query
  with seen as (
    select n.ord, n.id, n.body_hash, j.id as known_id, j.body_hash as known_hash,
      first_value(n.id) over same_key as batch_id, first_value(n.body_hash) over same_key as batch_hash
    from unnest(p_jobs) n
    left join public.jobs j on j.idempotency_key = n.idempotency_key and j.queue = n.queue
      and coalesce(j.user_id, '00000000-0000-0000-0000-000000000000'::uuid)
        = coalesce(n.user_id, '00000000-0000-0000-0000-000000000000'::uuid)
    where n.idempotency_key is not null
    window same_key as (partition by n.user_id, n.queue, n.idempotency_key order by n.ord)
  )
  select s.ord,
    case when coalesce(s.known_hash, s.batch_hash) = s.body_hash then coalesce(s.known_id, s.batch_id) end,
    s.known_id is null and s.batch_id = s.id
  from seen s;
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
