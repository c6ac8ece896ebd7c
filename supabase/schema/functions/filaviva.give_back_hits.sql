CREATE FUNCTION filaviva.give_back_hits(p_job_ids uuid[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_limiters text[]; v_keys text[];
begin
  if p_job_ids = '{}' then
    return;
  end if;
  with given_back as (
    delete from filaviva.rate_limit_hits h using public.jobs j
    where j.id = any (p_job_ids) and h.job_id = j.id and h.at >= j.started_at
    returning h.limiter, h.key
  )
  select array_agg(g.limiter), array_agg(g.key) into v_limiters, v_keys from (select distinct limiter, key from given_back) g;
  perform filaviva.lock_keys(v_limiters, v_keys);
  update filaviva.parked_keys k set next_at = p_now
  from unnest(v_limiters, v_keys) as g(limiter, key) where k.limiter = g.limiter and k.key = g.key;
end
$$;

COMMENT ON FUNCTION filaviva.give_back_hits(p_job_ids uuid[], p_now timestamp with time zone) IS 'Forgets the hits of claims that started nothing; what waits for those keys looks again.';

REVOKE ALL ON FUNCTION filaviva.give_back_hits(p_job_ids uuid[], p_now timestamp with time zone) FROM PUBLIC;
