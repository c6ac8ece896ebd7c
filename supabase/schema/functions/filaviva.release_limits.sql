CREATE FUNCTION filaviva.release_limits(p_queue text, p_now timestamp with time zone, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_parked record;
  v_left record;
  v_ids uuid[];
  v_released int := 0;
begin
  for v_parked in
    select k.limiter, k.key, l as rule
    from filaviva.parked_keys k left join public.rate_limiters l on l.name = k.limiter
    where k.queue = p_queue and k.next_at <= p_now
    order by k.next_at limit least(p_limit, 200)
    for update of k skip locked
  loop
    -- Who parks under a key holds its lock until it commits: without it, what is parked meanwhile would be left without its row.
    continue when not filaviva.try_key(v_parked.limiter, v_parked.key);
    select * into v_left from filaviva.allowance(v_parked.rule, v_parked.key, p_now);
    if not exists (select from public.queue_limits l where l.queue = p_queue and l.limiter = v_parked.limiter) then
      v_left.remaining := 1000;  -- the queue is no longer under this limit
      v_left.next_at := p_now;
    end if;
    v_ids := array(
      select j.id from public.jobs j
      where j.queue = p_queue and j.blocked_by = 'limit:' || v_parked.limiter || ':' || v_parked.key
      order by j.priority desc, j.seq limit least(greatest(v_left.remaining, 0), p_limit)
      for update skip locked
    );
    perform filaviva.line_up(p_queue, v_ids);
    v_released := v_released + cardinality(v_ids);
    if exists (select from public.jobs j where j.queue = p_queue and j.blocked_by = 'limit:' || v_parked.limiter || ':' || v_parked.key) then
      -- The next one comes with the next hit that stops counting, or in a moment when somebody did not take what was left.
      update filaviva.parked_keys k set next_at = case
        when cardinality(v_ids) >= p_limit then p_now
        when v_left.remaining > 0 then p_now + interval '1 second'
        else greatest(v_left.next_at, p_now + interval '100 milliseconds') end
      where k.queue = p_queue and k.limiter = v_parked.limiter and k.key = v_parked.key;
    else
      delete from filaviva.parked_keys k where k.queue = p_queue and k.limiter = v_parked.limiter and k.key = v_parked.key;
    end if;
  end loop;
  return v_released;
end
$$;

COMMENT ON FUNCTION filaviva.release_limits(p_queue text, p_now timestamp with time zone, p_limit integer) IS 'Lets as many parked jobs of each key into the line as its limit allows again.';

REVOKE ALL ON FUNCTION filaviva.release_limits(p_queue text, p_now timestamp with time zone, p_limit integer) FROM PUBLIC;
