CREATE FUNCTION filaviva.is_operator() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select filaviva.is_trusted()
    or coalesce(auth.jwt() -> 'app_metadata' ->> 'filaviva_role' = 'operator', false)
$$;

COMMENT ON FUNCTION filaviva.is_operator() IS 'True for whoever may see and change every owner''s jobs: the service role, direct SQL as postgres, or a user whose app_metadata.filaviva_role is operator.';

REVOKE ALL ON FUNCTION filaviva.is_operator() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.is_operator() TO authenticated;
GRANT ALL ON FUNCTION filaviva.is_operator() TO service_role;
