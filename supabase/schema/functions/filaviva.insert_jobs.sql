CREATE FUNCTION filaviva.insert_jobs(p_jobs filaviva.new_job[], p_turns bigint[], p_msg_ids bigint[], p_now timestamp with time zone, p_without integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  insert into public.jobs (
    id, seq, queue, kind, user_id, company_id, instance_id, payload, metadata, priority, group_key, idempotency_key, body_hash,
    correlation_id, scheduled_at, expires_at, max_attempts, timeout_seconds, created_at, updated_at, msg_id, fair_tag, next_run_at, blocked_by, waiting_reason
  )
  select n.id, n.seq, n.queue, n.kind, n.user_id, n.company_id, n.instance_id, n.payload, n.metadata, n.priority, n.group_key,
    n.idempotency_key, n.body_hash, n.correlation_id, n.scheduled_at, n.expires_at, n.max_attempts, n.timeout_seconds, p_now, p_now,
    nullif(p_msg_ids[n.ord], 0), nullif(p_turns[n.ord], 0),
    case when n.scheduled_at > p_now then n.scheduled_at end,
    case when n.group_key is not null and not coalesce(n.scheduled_at > p_now, false) then 'group:' || n.group_key end,
    case when n.scheduled_at > p_now then 'scheduled' when n.group_key is not null then 'group' end
  from unnest(p_jobs) n
  where n.ord <> all (p_without);

  insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
  select n.queue, n.priority, p_turns[n.ord], n.seq, n.id, coalesce(n.user_id, '00000000-0000-0000-0000-000000000000')
  from unnest(p_jobs) n
  where p_turns[n.ord] > 0 and p_msg_ids[n.ord] = 0;

  insert into filaviva.expiries (expires_at, job_id)
  select n.expires_at, n.id from unnest(p_jobs) n where n.expires_at is not null and n.ord <> all (p_without);
end
$$;

COMMENT ON FUNCTION filaviva.insert_jobs(p_jobs filaviva.new_job[], p_turns bigint[], p_msg_ids bigint[], p_now timestamp with time zone, p_without integer[]) IS 'Writes new jobs at their places. Turns and message ids are by position, 0 for none; positions in p_without are repeats.';

REVOKE ALL ON FUNCTION filaviva.insert_jobs(p_jobs filaviva.new_job[], p_turns bigint[], p_msg_ids bigint[], p_now timestamp with time zone, p_without integer[]) FROM PUBLIC;
