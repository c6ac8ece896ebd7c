CREATE FUNCTION filaviva.hold_keys(p_decisions filaviva.decision[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_held uuid[] := array(select d.job_id from unnest(p_decisions) d where d.applied = 'ok' and d.outcome = 'hold');
  v_cool record;
  v_back record;
begin
  select array_agg(d.limiter) as limiters, array_agg(d.limit_key) as keys, array_agg(d.run_at) as untils, array_agg(d.error_message) as reasons
  into v_cool
  from unnest(p_decisions) d where d.applied = 'ok' and d.limit_key is not null;
  if v_held = '{}' and v_cool.keys is null then
    return;
  end if;
  -- Nothing happened, so a job that counts once is not counted for what it did not do.
  select array_agg(h.limiter) as limiters, array_agg(h.key) as keys, array_agg(h.job_id) as jobs into v_back
  from filaviva.rate_limit_hits h join public.jobs j on j.id = h.job_id
  where h.job_id = any (v_held)
    and exists (select from public.queue_limits l where l.queue = j.queue and l.limiter = h.limiter and l.counts = 'jobs');
  perform filaviva.lock_keys(v_cool.limiters || v_back.limiters, v_cool.keys || v_back.keys);
  delete from filaviva.rate_limit_hits d using unnest(v_back.jobs, v_back.limiters) as b(job_id, limiter)
  where d.job_id = b.job_id and d.limiter = b.limiter;
  update filaviva.parked_keys k set next_at = p_now
  from unnest(v_back.limiters, v_back.keys) as b(limiter, key) where k.limiter = b.limiter and k.key = b.key;
  perform filaviva.cool_keys(v_cool.limiters, v_cool.keys, v_cool.untils, v_cool.reasons);
end
$$;

COMMENT ON FUNCTION filaviva.hold_keys(p_decisions filaviva.decision[], p_now timestamp with time zone) IS 'What held attempts do to limits: the keys that they name cool down, and what they counted by job is forgotten.';

REVOKE ALL ON FUNCTION filaviva.hold_keys(p_decisions filaviva.decision[], p_now timestamp with time zone) FROM PUBLIC;
