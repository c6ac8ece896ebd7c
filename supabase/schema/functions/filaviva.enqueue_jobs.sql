CREATE FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz;
  v_jobs filaviva.new_job[];
  v_first_ords int[] := '{}'; v_first_ids uuid[] := '{}'; v_conflict int;
  v_turns bigint[]; v_msg_ids bigint[]; v_sent bigint[];
  v_queue text; v_ords int[];
begin
  if not filaviva.is_trusted() then
    perform filaviva.count_api_call(filaviva.caller_id());
  end if;
  v_jobs := filaviva.parse_job_requests(p_jobs);

  if exists (select from unnest(v_jobs) n where n.idempotency_key is not null) then
    perform filaviva.lock_idempotency_keys(v_jobs);
    select coalesce(array_agg(f.ord) filter (where not f.is_new), '{}'), coalesce(array_agg(f.first_id) filter (where not f.is_new), '{}'),
      min(f.ord) filter (where f.first_id is null)
    into v_first_ords, v_first_ids, v_conflict
    from filaviva.first_jobs(v_jobs) f;
    if v_conflict is not null then
      perform filaviva.fail(409, 'idempotency_conflict', format('Job %s repeats an idempotency key with another body.', v_conflict - 1),
        'Use a new key for a new job; repeat a key only with the very same job.');
    end if;
  end if;

  v_now := filaviva.now();
  v_turns := filaviva.new_turns(v_jobs, v_now, v_first_ords);
  v_msg_ids := array_fill(0::bigint, array[cardinality(v_jobs)]);
  for v_queue in select distinct n.queue from unnest(v_jobs) n order by 1 loop
    v_ords := filaviva.straight_into_pgmq(v_queue, v_now, v_jobs, v_turns);
    v_sent := filaviva.send_messages(v_queue, array(select v_jobs[o.ord].id from unnest(v_ords) with ordinality as o(ord, place) order by o.place), 0);
    for v_i in 1 .. cardinality(v_ords) loop
      v_msg_ids[v_ords[v_i]] := v_sent[v_i];
    end loop;
  end loop;
  perform filaviva.join_groups(v_jobs, v_now, v_first_ords);
  perform filaviva.insert_jobs(v_jobs, v_turns, v_msg_ids, v_now, v_first_ords);
  perform filaviva.yield_to_priority(v_jobs, v_now, v_first_ords);
  perform filaviva.mark_for_kick(array(
    select distinct n.queue from unnest(v_jobs) n
    where coalesce(n.scheduled_at, v_now) <= v_now and n.ord <> all (v_first_ords)
  ));

  if v_first_ords = '{}' then
    return (
      select json_agg(json_build_object('job_id', n.id, 'status', 'pending', 'duplicate', false, 'scheduled_at', n.scheduled_at, 'version', 1) order by n.ord)
      from unnest(v_jobs) n
    );
  end if;
  return (
    select json_agg(json_build_object(
        'job_id', coalesce(f.id, n.id), 'status', coalesce(j.status, 'pending'), 'duplicate', f.id is not null,
        'scheduled_at', case when f.id is null then n.scheduled_at else j.scheduled_at end, 'version', coalesce(j.version, 1)
      ) order by n.ord)
    from unnest(v_jobs) n
    left join unnest(v_first_ords, v_first_ids) as f(ord, id) on f.ord = n.ord
    left join public.jobs j on j.id = f.id
  );
end
$$;

COMMENT ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) IS 'Enqueues 1 to 10,000 jobs, all or nothing. The same idempotency key with the same body answers the first job; with another body PT409. The owner is the signed-in user.';

REVOKE ALL ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) TO authenticated;
GRANT ALL ON FUNCTION filaviva.enqueue_jobs(p_jobs jsonb) TO service_role;
