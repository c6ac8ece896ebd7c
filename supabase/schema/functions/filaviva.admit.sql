CREATE FUNCTION filaviva.admit(p_queue text, p_job_ids uuid[], p_limit integer) RETURNS filaviva.admission
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_answer filaviva.admission := row('{}', '{}', '{}', '{}', '{}');
  v_left jsonb := '{}';      -- limiter:key → hits left; null when another claim counts that key
  v_hit record; v_job record; v_names text[]; v_limiters text[]; v_keys text[]; v_at int; v_mine boolean; v_now timestamptz;
begin
  for v_hit in
    select distinct l.name, filaviva.limit_key(j, q.key) as key, l as limiter
    from public.queue_limits q join public.rate_limiters l on l.name = q.limiter, public.jobs j
    where q.queue = p_queue and j.id = any (p_job_ids) and filaviva.limit_key(j, q.key) is not null
    order by 1, 2
  loop
    v_mine := filaviva.try_key(v_hit.name, v_hit.key);
    v_now := filaviva.now();
    -- A statement of its own: what it counts must have been committed before the lock was had.
    v_left := v_left || jsonb_build_object(v_hit.name || ':' || v_hit.key,
      case when v_mine then (filaviva.allowance(v_hit.limiter, v_hit.key, v_now)).remaining end);
  end loop;

  for v_job in
    select i.id, l.names, l.limiters, l.keys
    from unnest(p_job_ids) with ordinality as i(id, ord)
    join public.jobs j on j.id = i.id,
    lateral (
      select array_agg(k.limiter || ':' || k.key) as names, array_agg(k.limiter) as limiters, array_agg(k.key) as keys
      from (select q.limiter, filaviva.limit_key(j, q.key) as key from public.queue_limits q where q.queue = p_queue) k
      where k.key is not null
    ) l
    where j.id = any (p_job_ids)
    order by i.ord
  loop
    v_names := coalesce(v_job.names, '{}'); v_limiters := v_job.limiters; v_keys := v_job.keys;
    if cardinality(v_answer.admitted) >= p_limit or exists (select from unnest(v_names) n where v_left -> n = 'null') then
      v_answer.skipped := v_answer.skipped || v_job.id;
      continue;
    end if;
    v_at := null;
    for v_i in 1 .. cardinality(v_names) loop
      if (v_left ->> v_names[v_i])::int <= 0 then v_at := v_i; end if;
    end loop;
    if v_at is null then
      v_answer.admitted := v_answer.admitted || v_job.id;
      for v_i in 1 .. cardinality(v_names) loop
        v_left := jsonb_set(v_left, array[v_names[v_i]], to_jsonb((v_left ->> v_names[v_i])::int - 1));
        insert into filaviva.rate_limit_hits (limiter, key, at, job_id) values (v_limiters[v_i], v_keys[v_i], v_now, v_job.id);
      end loop;
    else
      v_answer.refused := v_answer.refused || v_job.id;
      v_answer.limiters := v_answer.limiters || v_limiters[v_at];
      v_answer.keys := v_answer.keys || v_keys[v_at];
    end if;
  end loop;
  return v_answer;
end
$$;

COMMENT ON FUNCTION filaviva.admit(p_queue text, p_job_ids uuid[], p_limit integer) IS 'Takes the hits of at most p_limit locked jobs, in their order and at the time of the count, as far as every limit of each allows. Never waits: a key that another claim counts is left alone.';

REVOKE ALL ON FUNCTION filaviva.admit(p_queue text, p_job_ids uuid[], p_limit integer) FROM PUBLIC;
