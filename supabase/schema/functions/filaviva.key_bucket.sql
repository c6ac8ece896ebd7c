CREATE FUNCTION filaviva.key_bucket(p_limiter text, p_key text) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
begin
  return hashtext(p_limiter || ':' || p_key) & 1023;
end
$$;

REVOKE ALL ON FUNCTION filaviva.key_bucket(p_limiter text, p_key text) FROM PUBLIC;
