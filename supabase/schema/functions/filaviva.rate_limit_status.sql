CREATE FUNCTION filaviva.rate_limit_status(p_limiter text, p_key text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_limiter public.rate_limiters;
  v_left record;
begin
  -- A joined key begins with the user id where it has one.
  if not filaviva.is_operator() and split_part(p_key, ':', 1) is distinct from filaviva.caller_id()::text
    and not exists (select from public.jobs j where j.user_id = filaviva.caller_id() and j.instance_id = p_key)
  then
    perform filaviva.fail(403, 'not_your_key', 'The key is not yours.', 'Ask with your own user id, or an instance that one of your jobs names.');
  end if;
  select * into v_limiter from public.rate_limiters l where l.name = p_limiter;
  if not found then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  select * into v_left from filaviva.allowance(v_limiter, filaviva.fold_key(p_key), v_now);
  return jsonb_build_object(
    'allowed', v_left.remaining > 0, 'remaining', greatest(v_left.remaining, 0), 'limit', v_limiter.max_hits, 'window_seconds', v_limiter.window_seconds,
    'retry_after', case when v_left.remaining > 0 then 0 else ceil(extract(epoch from v_left.next_at - v_now))::int end
  );
end
$$;

COMMENT ON FUNCTION filaviva.rate_limit_status(p_limiter text, p_key text) IS 'How a key stands under a limit, its cool-down included: {allowed, remaining, limit, window_seconds, retry_after}, the last in seconds and 0 when allowed. For operators, and users about themselves.';

REVOKE ALL ON FUNCTION filaviva.rate_limit_status(p_limiter text, p_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.rate_limit_status(p_limiter text, p_key text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.rate_limit_status(p_limiter text, p_key text) TO service_role;
