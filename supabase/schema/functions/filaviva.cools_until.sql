CREATE FUNCTION filaviva.cools_until(p_limiter text, p_key text, p_now timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return (select c.until from filaviva.cool_downs c where c.limiter = p_limiter and c.key = p_key and c.until > p_now);
end
$$;

COMMENT ON FUNCTION filaviva.cools_until(p_limiter text, p_key text, p_now timestamp with time zone) IS 'Until when a key cools down; null when it does not.';

REVOKE ALL ON FUNCTION filaviva.cools_until(p_limiter text, p_key text, p_now timestamp with time zone) FROM PUBLIC;
