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
  v_job record; v_names text[]; v_free boolean[]; v_rule public.rate_limiters; v_at int; v_busy boolean; v_now timestamptz;
begin
  for v_job in
    select i.id, l.limiters, l.keys, l.once
    from unnest(p_job_ids) with ordinality as i(id, ord)
    join public.jobs j on j.id = i.id,
    lateral (
      select coalesce(array_agg(k.limiter), '{}') as limiters, array_agg(k.key) as keys, array_agg(k.once) as once
      from (
        select q.limiter, filaviva.limit_key(j, q.key) as key, q.counts = 'jobs' as once
        from public.queue_limits q where q.queue = p_queue and (q.counts = 'claims' or j.committed_at is null)
        order by 1, 2
      ) k
      where k.key is not null
    ) l
    order by i.ord
  loop
    if cardinality(v_answer.admitted) >= p_limit then
      v_answer.skipped := v_answer.skipped || v_job.id;
      continue;
    end if;
    v_names := '{}'; v_free := '{}'; v_at := null; v_busy := false;
    for v_i in 1 .. cardinality(v_job.limiters) loop
      v_names := v_names || (v_job.limiters[v_i] || ':' || v_job.keys[v_i]);
      if not v_left ? v_names[v_i] then
        select * into v_rule from public.rate_limiters l where l.name = v_job.limiters[v_i];
        v_left := v_left || case when filaviva.try_key(v_rule.name, v_job.keys[v_i])
          then filaviva.hits_left(v_rule, v_job.keys[v_i]) else jsonb_build_object(v_names[v_i], null) end;
      end if;
      v_busy := v_busy or v_left -> v_names[v_i] = 'null';
      v_now := filaviva.now();
      v_free := v_free || (v_job.once[v_i] and filaviva.cools_until(v_job.limiters[v_i], v_job.keys[v_i], v_now) is null
        and exists (
          select from filaviva.rate_limit_hits h join public.rate_limiters l on l.name = h.limiter
          where h.job_id = v_job.id and h.limiter = v_job.limiters[v_i] and h.key = v_job.keys[v_i]
            and h.at > v_now - make_interval(secs => l.window_seconds) - filaviva.start_slack()
        ));
      if not v_free[v_i] and (v_left ->> v_names[v_i])::int <= 0 then v_at := v_i; end if;
    end loop;
    if v_busy then
      v_answer.skipped := v_answer.skipped || v_job.id;
    elsif v_at is null then
      v_answer.admitted := v_answer.admitted || v_job.id;
      for v_i in 1 .. cardinality(v_names) loop
        continue when v_free[v_i];
        v_left := jsonb_set(v_left, array[v_names[v_i]], to_jsonb((v_left ->> v_names[v_i])::int - 1));
        insert into filaviva.rate_limit_hits (limiter, key, at, job_id) values (v_job.limiters[v_i], v_job.keys[v_i], v_now, v_job.id);
      end loop;
    else
      v_answer.refused := v_answer.refused || v_job.id;
      v_answer.limiters := v_answer.limiters || v_job.limiters[v_at];
      v_answer.keys := v_answer.keys || v_job.keys[v_at];
    end if;
  end loop;
  return v_answer;
end
$$;

COMMENT ON FUNCTION filaviva.admit(p_queue text, p_job_ids uuid[], p_limit integer) IS 'Takes the hits of at most p_limit locked jobs, in their order and at the time of the count, as far as every limit of each allows. Never waits: a key that another claim counts is left alone.';

REVOKE ALL ON FUNCTION filaviva.admit(p_queue text, p_job_ids uuid[], p_limit integer) FROM PUBLIC;
