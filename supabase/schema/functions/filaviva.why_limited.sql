CREATE FUNCTION filaviva.why_limited(p_job public.jobs, p_ahead integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_limiter public.rate_limiters;
  v_parked filaviva.parked_keys;
  v_cool filaviva.cool_downs;
begin
  select * into v_limiter from public.rate_limiters l where l.name = split_part(p_job.blocked_by, ':', 2);
  select * into v_parked from filaviva.parked_keys k where k.queue = p_job.queue and p_job.blocked_by = 'limit:' || k.limiter || ':' || k.key;
  select * into v_cool from filaviva.cool_downs c where c.limiter = v_parked.limiter and c.key = v_parked.key and c.until > filaviva.now();
  return jsonb_build_object('reason', 'limit', 'key', p_job.blocked_by, 'ahead', p_ahead,
    'expected_at', greatest(v_parked.next_at, v_cool.until)
      + (p_ahead / v_limiter.max_hits) * (make_interval(secs => v_limiter.window_seconds) + filaviva.start_slack()),
    'details', jsonb_build_object('limiter', v_limiter.name, 'limit', v_limiter.max_hits, 'window_seconds', v_limiter.window_seconds)
      || case when v_cool.until is null then '{}' else jsonb_build_object('cools_until', v_cool.until, 'because', v_cool.reason) end);
end
$$;

COMMENT ON FUNCTION filaviva.why_limited(p_job public.jobs, p_ahead integer) IS 'Why a parked job waits: its limit, and the cool-down where there is one.';

REVOKE ALL ON FUNCTION filaviva.why_limited(p_job public.jobs, p_ahead integer) FROM PUBLIC;
