CREATE FUNCTION filaviva.try_key(p_limiter text, p_key text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return pg_try_advisory_xact_lock(hashtext('filaviva.limit'), filaviva.key_bucket(p_limiter, p_key));
end
$$;

COMMENT ON FUNCTION filaviva.try_key(p_limiter text, p_key text) IS 'Locks a key of a limit for this transaction unless another holds it; never waits.';

REVOKE ALL ON FUNCTION filaviva.try_key(p_limiter text, p_key text) FROM PUBLIC;
