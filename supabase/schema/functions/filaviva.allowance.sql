CREATE FUNCTION filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamp with time zone, OUT remaining integer, OUT next_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
  c_recovers_for constant interval := '20 seconds';
  c_step constant interval := '2 seconds';
  v_counts_for constant interval := make_interval(secs => p_limiter.window_seconds) + filaviva.start_slack();
  v_hits timestamptz[] := array(
    select h.at from filaviva.rate_limit_hits h
    where h.limiter = p_limiter.name and h.key = p_key and h.at > p_now - v_counts_for
    order by h.at desc limit p_limiter.max_hits
  );
  v_until timestamptz := (select c.until from filaviva.cool_downs c where c.limiter = p_limiter.name and c.key = p_key);
  v_steps int;
  v_room int;
begin
  remaining := p_limiter.max_hits - cardinality(v_hits);
  -- The oldest hit that counts makes room for the next one when it stops counting.
  next_at := v_hits[cardinality(v_hits)] + v_counts_for;
  if v_until > p_now then
    remaining := least(remaining, 0);
    next_at := greatest(next_at, v_until);
  elsif v_until > p_now - c_recovers_for then
    -- The first goes alone, and the others step by step: should the other side refuse again, it has been asked little.
    v_steps := 1 + floor(extract(epoch from p_now - v_until) / extract(epoch from c_step));
    v_room := v_steps - (select count(*) from unnest(v_hits) h where h >= v_until);
    if v_room < remaining then
      remaining := v_room;
      next_at := v_until + v_steps * c_step;
    end if;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamp with time zone, OUT remaining integer, OUT next_at timestamp with time zone) IS 'How many hits a key has left now, and when it has one more: null while none counts. None while it cools down, and one every two seconds just after.';

REVOKE ALL ON FUNCTION filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamp with time zone, OUT remaining integer, OUT next_at timestamp with time zone) FROM PUBLIC;
