CREATE FUNCTION filaviva.hits_left(p_limiter public.rate_limiters, p_key text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return jsonb_build_object(p_limiter.name || ':' || p_key, (filaviva.allowance(p_limiter, p_key, filaviva.now())).remaining);
end
$$;

COMMENT ON FUNCTION filaviva.hits_left(p_limiter public.rate_limiters, p_key text) IS 'What a locked key has left now: {"limiter:key": hits}.';

REVOKE ALL ON FUNCTION filaviva.hits_left(p_limiter public.rate_limiters, p_key text) FROM PUBLIC;
