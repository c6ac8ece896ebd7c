CREATE FUNCTION filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamp with time zone, OUT remaining integer, OUT next_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_counts_for constant interval := make_interval(secs => p_limiter.window_seconds) + filaviva.start_slack();
  v_hits timestamptz[] := array(
    select h.at from filaviva.rate_limit_hits h
    where h.limiter = p_limiter.name and h.key = p_key and h.at > p_now - v_counts_for
    order by h.at desc limit p_limiter.max_hits
  );
begin
  remaining := p_limiter.max_hits - cardinality(v_hits);
  -- The oldest hit that counts makes room for the next one when it stops counting.
  next_at := v_hits[cardinality(v_hits)] + v_counts_for;
end
$$;

COMMENT ON FUNCTION filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamp with time zone, OUT remaining integer, OUT next_at timestamp with time zone) IS 'How many hits a key has left now, and when it has one more: null while none counts.';

REVOKE ALL ON FUNCTION filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamp with time zone, OUT remaining integer, OUT next_at timestamp with time zone) FROM PUBLIC;
