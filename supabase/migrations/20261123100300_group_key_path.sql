-- Group keys by path: a kind may say where in its jobs the group key stands, so that no caller can forget it and no
-- two callers write it differently. A key that the caller names goes before it.

alter table public.kinds
  add column group_key_path text,
  add constraint group_key_path_is_paths check (
    length(group_key_path) <= 500
    and group_key_path ~ '^(kind|user_id|company_id|instance_id|(payload|metadata)([.][A-Za-z0-9_-]+)+)(:(kind|user_id|company_id|instance_id|(payload|metadata)([.][A-Za-z0-9_-]+)+))*$'
  );
comment on column public.kinds.group_key_path is
  'Where a job''s group key stands when its caller names none: a path such as instance_id or payload.conversation_id, or several with : between them. Every job must have the values. Null: such a job has no group.';

create function filaviva.group_key_of(p_path text, p_position int, p_job jsonb) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_part text;
  v_value jsonb;
  v_values text[] := '{}';
begin
  foreach v_part in array string_to_array(p_path, ':') loop
    v_value := p_job #> string_to_array(v_part, '.');
    -- Without the value the job would run beside those it should follow: better none than one out of order.
    if coalesce(jsonb_typeof(v_value), 'null') not in ('string', 'number') or v_value = '""' then
      perform filaviva.fail(400, 'invalid_field',
        format('%s of job %s must be a text that is not empty, or a number: the group of its kind is taken from it.', v_part, p_position),
        'Give the job that value, or name its group_key.');
    end if;
    v_values := v_values || (v_value #>> '{}');
  end loop;
  return filaviva.fold_key(array_to_string(v_values, ':'));
end
$$;
comment on function filaviva.group_key_of(text, int, jsonb) is
  'The group key of a new job: the values at the paths, with : between them; a long one is folded.';

create or replace function filaviva.read_job_requests(p_jobs jsonb, p_owner uuid) returns setof filaviva.new_job
language plpgsql
set search_path = ''
as $$
begin
  return query
  select r.ord::int, gen_random_uuid(), nextval('filaviva.job_seq'), coalesce(r.queue, k.queue), r.kind,
    coalesce(r.user_id, p_owner), r.company_id, r.instance_id,
    coalesce(r.payload, '{}'), coalesce(r.metadata, '{}'), coalesce(r.priority, 0),
    case when r.group_key is not null or k.group_key_path is null then r.group_key
      else filaviva.group_key_of(k.group_key_path, r.ord::int - 1, jsonb_build_object('kind', r.kind, 'user_id', coalesce(r.user_id, p_owner),
        'company_id', r.company_id, 'instance_id', r.instance_id, 'payload', r.payload, 'metadata', r.metadata)) end,
    r.idempotency_key,
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
comment on function filaviva.read_job_requests(jsonb, uuid) is
  'The elements of a checked call as rows, with the group keys that their kinds take from them. An unknown kind or queue leaves its numbers null.';

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
  where k.key <> all (array['queue', 'timeout_seconds', 'max_attempts', 'user_may_enqueue', 'group_key_path']) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A kind has no setting %L.', v_unknown), 'The settings are queue, timeout_seconds, max_attempts, user_may_enqueue, group_key_path.');
  end if;
  begin
    select * into v_kind from public.kinds k where k.kind = p_kind;
    v_kind := jsonb_populate_record(v_kind, p_settings);
    perform filaviva.require_queue(v_kind.queue);
    insert into public.kinds (kind, queue, timeout_seconds, max_attempts, user_may_enqueue, group_key_path)
    values (p_kind, v_kind.queue, v_kind.timeout_seconds, v_kind.max_attempts, coalesce(v_kind.user_may_enqueue, false), v_kind.group_key_path)
    on conflict (kind) do update set
      queue = excluded.queue, timeout_seconds = excluded.timeout_seconds,
      max_attempts = excluded.max_attempts, user_may_enqueue = excluded.user_may_enqueue, group_key_path = excluded.group_key_path;
  exception when data_exception or integrity_constraint_violation then
    perform filaviva.fail(400, 'invalid_field', 'A setting cannot be taken: ' || sqlerrm || '.', 'Numbers are whole and at least 1; user_may_enqueue is true or false; group_key_path is a path such as payload.conversation_id, or several with : between them.');
  end;
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
