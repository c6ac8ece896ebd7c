CREATE FUNCTION filaviva.park(p_queue text, p_job_ids uuid[], p_limiters text[], p_keys text[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  update public.jobs j set
    next_run_at = null, blocked_by = 'limit:' || r.limiter || ':' || r.key, waiting_reason = 'limit:' || r.limiter,
    version = j.version + 1, updated_at = p_now
  from unnest(p_job_ids, p_limiters, p_keys) as r(id, limiter, key)
  where j.id = r.id and j.id = any (p_job_ids);
  insert into filaviva.parked_keys (queue, limiter, key, next_at)
  select p_queue, r.limiter, r.key, coalesce((filaviva.allowance(l, r.key, p_now)).next_at, p_now)
  from (select distinct limiter, key from unnest(p_limiters, p_keys) as k(limiter, key)) r join public.rate_limiters l on l.name = r.limiter
  order by 2, 3
  on conflict (queue, limiter, key) do nothing;
end
$$;

COMMENT ON FUNCTION filaviva.park(p_queue text, p_job_ids uuid[], p_limiters text[], p_keys text[], p_now timestamp with time zone) IS 'Parks locked jobs, taken from the line or just settled, under the keys that refused them.';

REVOKE ALL ON FUNCTION filaviva.park(p_queue text, p_job_ids uuid[], p_limiters text[], p_keys text[], p_now timestamp with time zone) FROM PUBLIC;
