CREATE FUNCTION filaviva.count_api_call(p_user_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_limiter public.rate_limiters;
  v_left record;
begin
  select * into v_limiter from public.rate_limiters l where l.name = 'api';
  if not found then
    return;
  end if;
  select * into v_left from filaviva.allowance(v_limiter, p_user_id::text, v_now);
  if v_left.remaining < greatest(v_limiter.max_hits / 5, 100) then
    -- Near the limit the calls of one user are counted one after the other, so that none slips by.
    perform pg_advisory_xact_lock(hashtext('filaviva.api'), hashtext(p_user_id::text));
    select * into v_left from filaviva.allowance(v_limiter, p_user_id::text, v_now);
  end if;
  if v_left.remaining <= 0 then
    perform filaviva.fail(429, 'too_many_requests', format('More than %s calls in %s seconds.', v_limiter.max_hits, v_limiter.window_seconds),
      format('Try again in %s seconds.', greatest(1, ceil(extract(epoch from v_left.next_at - v_now))::int)));
  end if;
  insert into filaviva.rate_limit_hits (limiter, key, at) values ('api', p_user_id::text, v_now);
end
$$;

COMMENT ON FUNCTION filaviva.count_api_call(p_user_id uuid) IS 'Counts an enqueue call of a user under the limit ''api'', in the call''s own transaction; PT429 above it.';

REVOKE ALL ON FUNCTION filaviva.count_api_call(p_user_id uuid) FROM PUBLIC;
