CREATE FUNCTION filaviva.read_job_requests(p_jobs jsonb, p_owner uuid) RETURNS SETOF filaviva.new_job
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
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

COMMENT ON FUNCTION filaviva.read_job_requests(p_jobs jsonb, p_owner uuid) IS 'The elements of a checked call as rows, with the group keys that their kinds take from them. An unknown kind or queue leaves its numbers null.';

REVOKE ALL ON FUNCTION filaviva.read_job_requests(p_jobs jsonb, p_owner uuid) FROM PUBLIC;
