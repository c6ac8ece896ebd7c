-- Enqueue: many jobs in one call, all or nothing, one result a position.
-- A job that may run now goes straight into pgmq while the window has room and nobody waits before
-- it; everything else waits in jobs. Row and message commit together.

create type filaviva.new_job as (
  ord int, id uuid, seq bigint, queue text, kind text, user_id uuid, company_id uuid, instance_id text,
  payload jsonb, metadata jsonb, priority int, group_key text, idempotency_key text, body_hash bytea,
  correlation_id text, scheduled_at timestamptz, max_attempts int, timeout_seconds int
);
comment on type filaviva.new_job is 'A checked element of an enqueue call, with its kind''s numbers filled in.';

create function filaviva.job_id_of(p_message jsonb) returns uuid
language sql immutable
set search_path = ''
as $$
  select case when p_message ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (p_message ->> 'job_id')::uuid end
$$;
comment on function filaviva.job_id_of(jsonb) is 'The job a message speaks of; null for a message that is not ours.';

create function filaviva.deliveries(p_queue text)
returns table (msg_id bigint, job_id uuid, hidden boolean, enqueued_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  return query execute format(
    'select m.msg_id, filaviva.job_id_of(m.message), m.vt > clock_timestamp(), m.enqueued_at from pgmq.%I m',
    'q_' || p_queue
  );
end
$$;
comment on function filaviva.deliveries(text) is
  'The messages of a queue: ready ones in the window and hidden ones in flight. Both are bounded, so reading them all is cheap. The only statement that reads a pgmq table.';

create function filaviva.check_job_requests(p_jobs jsonb) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  c_known constant text[] := array['kind', 'queue', 'payload', 'metadata', 'priority', 'group_key', 'idempotency_key',
    'correlation_id', 'scheduled_at', 'max_attempts', 'company_id', 'instance_id', 'user_id'];
  v_bad record;
begin
  if p_jobs is null or jsonb_typeof(p_jobs) <> 'array' or jsonb_array_length(p_jobs) not between 1 and 10000 then
    perform filaviva.fail(400, 'invalid_jobs', 'p_jobs must be an array of 1 to 10,000 jobs.', 'Send [{"kind": …, "payload": …}, …].');
  end if;

  select e.ord, jsonb_typeof(e.job) as found into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord)
  where jsonb_typeof(e.job) <> 'object'
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_jobs', format('Job %s must be an object, not %s.', v_bad.ord - 1, v_bad.found), 'Send {"kind": …, "payload": …}.');
  end if;

  select e.ord, k.field into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord), jsonb_object_keys(e.job) as k(field)
  where k.field <> all (c_known)
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('Job %s has an unknown field %L.', v_bad.ord - 1, v_bad.field),
      'The fields are ' || array_to_string(c_known, ', ') || '.');
  end if;

  select e.ord, f.field, f.expected into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord),
    lateral (values
      ('kind', 'a string', jsonb_typeof(e.job -> 'kind') is distinct from 'string'),
      ('payload', 'an object', coalesce(jsonb_typeof(e.job -> 'payload'), 'object') <> 'object'),
      ('metadata', 'an object', coalesce(jsonb_typeof(e.job -> 'metadata'), 'object') <> 'object'),
      ('priority', 'a whole number from 0 to 10', coalesce(e.job ->> 'priority', '0') !~ '^([0-9]|10)$'),
      ('max_attempts', 'a whole number from 1 to 100', coalesce(e.job ->> 'max_attempts', '1') !~ '^([1-9][0-9]?|100)$'),
      ('group_key', 'a string of 1 to 200 characters', coalesce(length(e.job ->> 'group_key'), 1) not between 1 and 200),
      ('idempotency_key', 'a string of 1 to 200 characters', coalesce(length(e.job ->> 'idempotency_key'), 1) not between 1 and 200),
      ('scheduled_at', 'an ISO 8601 time such as 2026-11-21T12:00:00Z', coalesce(e.job ->> 'scheduled_at', '2026-01-01T00:00')
        !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?$'),
      ('correlation_id', 'a string of at most 200 characters', coalesce(length(e.job ->> 'correlation_id'), 0) > 200)
    ) as f(field, expected, wrong)
  where f.wrong
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('%s of job %s must be %s.', v_bad.field, v_bad.ord - 1, v_bad.expected), 'Correct the field and send the call again.');
  end if;

  select e.ord, octet_length((e.job -> 'payload')::text) as size into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord)
  where octet_length((e.job -> 'payload')::text) > 256000 or octet_length((e.job -> 'metadata')::text) > 64000
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(413, 'payload_too_large', format('The payload of job %s is above 250 KB, or its metadata above 62 KB.', v_bad.ord - 1),
      'Store large data in a bucket and put its address into the payload.');
  end if;
end
$$;
comment on function filaviva.check_job_requests(jsonb) is 'Raises an error that names the first wrong position and field of an enqueue call.';

create function filaviva.read_job_requests(p_jobs jsonb, p_owner uuid) returns setof filaviva.new_job
language sql volatile
set search_path = ''
as $$
  select r.ord::int, gen_random_uuid(), nextval('filaviva.job_seq'), coalesce(r.queue, k.queue), r.kind,
    coalesce(r.user_id, p_owner), r.company_id, r.instance_id,
    coalesce(r.payload, '{}'), coalesce(r.metadata, '{}'), coalesce(r.priority, 0), r.group_key, r.idempotency_key,
    case when r.idempotency_key is not null
      then sha256(convert_to(((p_jobs -> (r.ord::int - 1)) - 'idempotency_key')::text, 'UTF8')) end,
    r.correlation_id, r.scheduled_at,
    coalesce(r.max_attempts, k.max_attempts, q.max_attempts), coalesce(k.timeout_seconds, q.timeout_seconds)
  from rows from (jsonb_to_recordset(p_jobs) as (
      kind text, queue text, payload jsonb, metadata jsonb, priority int, group_key text, idempotency_key text,
      correlation_id text, scheduled_at timestamptz, max_attempts int, company_id uuid, instance_id text, user_id uuid
    )) with ordinality as r(kind, queue, payload, metadata, priority, group_key, idempotency_key,
      correlation_id, scheduled_at, max_attempts, company_id, instance_id, user_id, ord)
  left join public.kinds k on k.kind = r.kind
  left join public.queues q on q.name = coalesce(r.queue, k.queue)
  order by r.ord
$$;
comment on function filaviva.read_job_requests(jsonb, uuid) is
  'The elements of a checked call as rows. An unknown kind or queue leaves its numbers null.';

create function filaviva.parse_job_requests(p_jobs jsonb) returns filaviva.new_job[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_trusted constant boolean := filaviva.is_trusted();
  v_owner constant uuid := filaviva.caller_id();
  v_jobs filaviva.new_job[];
  v_bad record;
begin
  perform filaviva.check_job_requests(p_jobs);
  begin
    v_jobs := array(select r from filaviva.read_job_requests(p_jobs, v_owner) r);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'A field of a job cannot be read: ' || sqlerrm || '.',
      'scheduled_at is an ISO 8601 time; user_id and company_id are uuids.');
  end;

  select n.ord, n.kind, n.queue, k.kind is null as no_kind, q.name is null as no_queue, k.user_may_enqueue, n.user_id, n.company_id, n.instance_id
  into v_bad
  from unnest(v_jobs) n
  left join public.kinds k on k.kind = n.kind
  left join public.queues q on q.name = n.queue
  where k.kind is null or q.name is null
    or (not v_trusted and (not k.user_may_enqueue or n.queue <> k.queue or n.user_id is distinct from auth.uid()
      or n.company_id is not null or n.instance_id is not null))
  order by n.ord limit 1;
  if not found then
    if exists (
      select from (select distinct n.user_id from unnest(v_jobs) n where n.user_id is not null) o
      where not exists (select from auth.users u where u.id = o.user_id)
    ) then
      perform filaviva.fail(400, 'unknown_user', 'A job names a user who does not exist.', 'Check user_id; the user may have been deleted.');
    end if;
    return v_jobs;
  end if;
  case
    when v_bad.no_kind then
      perform filaviva.fail(400, 'unknown_kind', format('Job %s has the unknown kind %L.', v_bad.ord - 1, v_bad.kind), 'Register the kind with register_kind(), or correct its name.');
    when v_bad.no_queue then
      perform filaviva.fail(400, 'unknown_queue', format('Job %s names the unknown queue %L.', v_bad.ord - 1, v_bad.queue), 'Make the queue with create_queue(), or leave the field out.');
    when v_bad.user_id is distinct from auth.uid() then
      perform filaviva.fail(403, 'foreign_user', format('Job %s names another user.', v_bad.ord - 1), 'Leave user_id out: the owner is the signed-in user.');
    else
      perform filaviva.fail(403, 'service_only', format('Job %s may be enqueued by the service role alone.', v_bad.ord - 1),
        'A user may enqueue kinds with user_may_enqueue into their own queue, without company_id or instance_id.');
  end case;
end
$$;
comment on function filaviva.parse_job_requests(jsonb) is 'Checks a whole enqueue call against form, catalogue and caller; the first error names its position.';

create function filaviva.lock_idempotency_keys(p_jobs filaviva.new_job[]) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_bucket int;
begin
  -- 64 buckets: a bounded number of locks however many keys, taken in one order, so that two
  -- calls with the same key meet here and never deadlock.
  for v_bucket in
    select distinct (abs(hashtext(concat_ws(':', n.user_id, n.queue, n.idempotency_key))::bigint) % 64)::int
    from unnest(p_jobs) n where n.idempotency_key is not null order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('filaviva.idempotency'), v_bucket);
  end loop;
end
$$;

create function filaviva.first_jobs(p_jobs filaviva.new_job[])
returns table (ord int, first_id uuid, is_new boolean)
language sql stable
set search_path = ''
as $$
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
  from seen s
$$;
comment on function filaviva.first_jobs(filaviva.new_job[]) is
  'For every keyed element the job that first carried its key; null when that one had another body.';

create function filaviva.enqueue_jobs(p_jobs jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_jobs filaviva.new_job[];
  v_first_ords int[]; v_first_ids uuid[]; v_conflict int;
  v_sent_ids uuid[] := '{}'; v_sent_msgs bigint[] := '{}';
  v_queue text; v_ids uuid[];
  v_result jsonb;
begin
  v_jobs := filaviva.parse_job_requests(p_jobs);

  if exists (select from unnest(v_jobs) n where n.idempotency_key is not null) then
    perform filaviva.lock_idempotency_keys(v_jobs);
    select array_agg(f.ord) filter (where not f.is_new), array_agg(f.first_id) filter (where not f.is_new),
      min(f.ord) filter (where f.first_id is null)
    into v_first_ords, v_first_ids, v_conflict
    from filaviva.first_jobs(v_jobs) f;
    if v_conflict is not null then
      perform filaviva.fail(409, 'idempotency_conflict', format('Job %s repeats an idempotency key with another body.', v_conflict - 1),
        'Use a new key for a new job; repeat a key only with the very same job.');
    end if;
  end if;

  v_now := filaviva.now();
  for v_queue in select distinct n.queue from unnest(v_jobs) n order by 1 loop
    v_ids := filaviva.ready_for_window(v_queue, v_now, v_jobs, v_first_ords);
    v_sent_ids := v_sent_ids || v_ids;
    v_sent_msgs := v_sent_msgs || filaviva.send_messages(v_queue, v_ids, 0);
  end loop;

  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct n.queue, n.group_key, v_now
  from unnest(v_jobs) n
  where n.group_key is not null and coalesce(n.scheduled_at, v_now) <= v_now and n.ord <> all (coalesce(v_first_ords, '{}'))
  order by 1, 2
  on conflict (queue, group_key) do update set next_at = job_groups.next_at;  -- holds the group: a settle and this call cannot miss each other

  insert into public.jobs (
    id, seq, queue, kind, user_id, company_id, instance_id, payload, metadata, priority, group_key, idempotency_key, body_hash,
    correlation_id, scheduled_at, max_attempts, timeout_seconds, created_at, updated_at, msg_id, next_run_at, blocked_by, fair_tag, waiting_reason
  )
  select n.id, n.seq, n.queue, n.kind, n.user_id, n.company_id, n.instance_id, n.payload, n.metadata, n.priority, n.group_key,
    n.idempotency_key, n.body_hash, n.correlation_id, n.scheduled_at, n.max_attempts, n.timeout_seconds, v_now, v_now, s.msg_id,
    case when n.scheduled_at > v_now then n.scheduled_at end,
    case when n.group_key is not null and not coalesce(n.scheduled_at > v_now, false) then 'group:' || n.group_key end,
    case when s.msg_id is null and n.group_key is null and not coalesce(n.scheduled_at > v_now, false) then n.seq end,
    case when n.scheduled_at > v_now then 'scheduled' when n.group_key is not null then 'group' end
  from unnest(v_jobs) n
  left join unnest(v_sent_ids, v_sent_msgs) as s(id, msg_id) on s.id = n.id
  where n.ord <> all (coalesce(v_first_ords, '{}'))
  order by n.ord;

  perform filaviva.yield_to_priority(v_jobs, v_first_ords, v_now);
  perform filaviva.mark_for_kick(array(
    select distinct n.queue from unnest(v_jobs) n
    where coalesce(n.scheduled_at, v_now) <= v_now and n.ord <> all (coalesce(v_first_ords, '{}'))
  ));

  select jsonb_agg(jsonb_build_object(
      'job_id', coalesce(f.id, n.id), 'status', coalesce(j.status, 'pending'), 'duplicate', f.id is not null,
      'scheduled_at', case when f.id is null then n.scheduled_at else j.scheduled_at end, 'version', coalesce(j.version, 1)
    ) order by n.ord)
  into v_result
  from unnest(v_jobs) n
  left join unnest(v_first_ords, v_first_ids) as f(ord, id) on f.ord = n.ord
  left join public.jobs j on j.id = f.id;
  return v_result;
end
$$;
comment on function filaviva.enqueue_jobs(jsonb) is
  'Enqueues 1 to 10,000 jobs, all or nothing. The same idempotency key with the same body answers the first job; with another body PT409. The owner is the signed-in user.';

create function filaviva.ready_for_window(p_queue text, p_now timestamptz, p_jobs filaviva.new_job[], p_without int[]) returns uuid[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_room int;
begin
  -- Nobody overtakes: straight into pgmq only while nothing of this queue is due or about to be, and
  -- only at the lowest priority, since a claim takes everything above it from the table first.
  if exists (select from public.jobs j where j.queue = p_queue and j.fair_tag is not null)
    or exists (select from public.jobs j where j.queue = p_queue and j.next_run_at <= p_now)
    or exists (select from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now)
  then
    return '{}';
  end if;
  select q.window_size - (select count(*) from filaviva.deliveries(p_queue) d where not d.hidden)
  into v_room
  from public.queues q where q.name = p_queue;
  return array(
    select n.id from unnest(p_jobs) n
    where n.queue = p_queue and n.priority = 0 and n.group_key is null and coalesce(n.scheduled_at, p_now) <= p_now
      and n.ord <> all (coalesce(p_without, '{}'))
    order by n.ord
    limit greatest(v_room, 0)
  );
end
$$;
comment on function filaviva.ready_for_window(text, timestamptz, filaviva.new_job[], int[]) is 'Which jobs of a call go straight into pgmq.';

create function filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_without int[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_stepped_back uuid[];
begin
  if not exists (select from unnest(p_jobs) n where n.group_key is not null and n.priority > 0) then
    return;
  end if;
  with highest as (
    select n.queue, n.group_key, max(n.priority) as priority from unnest(p_jobs) n
    where n.group_key is not null and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (coalesce(p_without, '{}'))
    group by n.queue, n.group_key
  ), stepped as (
    update public.jobs j set
      fair_tag = null, blocked_by = 'group:' || j.group_key, waiting_reason = 'group', version = j.version + 1, updated_at = p_now
    from filaviva.job_groups g join highest h on h.queue = g.queue and h.group_key = g.group_key
    where j.id = g.active_job_id and j.fair_tag is not null and j.claim_id is null and j.attempt = 0 and j.priority < h.priority
    returning j.id
  )
  select array_agg(s.id) into v_stepped_back from stepped s;
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (v_stepped_back);
end
$$;
comment on function filaviva.yield_to_priority(filaviva.new_job[], int[], timestamptz) is
  'A head that was released but never claimed steps back when a job of higher priority joins its group. The groups must be locked.';

create function filaviva.send_messages(p_queue text, p_job_ids uuid[], p_hidden_seconds int) returns bigint[]
language plpgsql volatile
set search_path = ''
as $$
begin
  if p_job_ids = '{}' then
    return '{}';
  end if;
  return array(
    select s from pgmq.send_batch(
      p_queue,
      array(select jsonb_build_object('job_id', i.id) from unnest(p_job_ids) with ordinality as i(id, ord) order by i.ord),
      p_hidden_seconds
    ) as s
    order by s
  );
end
$$;
comment on function filaviva.send_messages(text, uuid[], int) is 'Sends one message a job; answers their ids in the order of the jobs.';

create function public.enqueue_jobs(p_jobs jsonb) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.enqueue_jobs(p_jobs) $$;
comment on function public.enqueue_jobs(jsonb) is 'Enqueue 1 to 10,000 jobs, all or nothing; answers one {job_id, status, duplicate, scheduled_at, version} a position.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.enqueue_jobs(jsonb)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.enqueue_jobs(jsonb) to authenticated, service_role;
grant execute on function public.enqueue_jobs(jsonb) to authenticated, service_role;
