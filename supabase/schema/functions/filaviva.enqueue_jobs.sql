CREATE FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

COMMENT ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) IS 'Enqueues 1 to 10,000 jobs, all or nothing. The same idempotency key with the same body answers the first job; with another body PT409. The owner is the signed-in user.';

REVOKE ALL ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) TO authenticated;
GRANT ALL ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) TO service_role;
