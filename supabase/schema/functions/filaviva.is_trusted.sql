CREATE FUNCTION filaviva.is_trusted() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select case current_setting('role')
    when 'service_role' then true
    when 'postgres' then true
    when 'none' then session_user in ('postgres', 'supabase_admin')
    else false
  end
$$;

COMMENT ON FUNCTION filaviva.is_trusted() IS 'True for the service role and for direct SQL as postgres. Looks at the role that was set, since inside definer code current_user is the definer.';

REVOKE ALL ON FUNCTION filaviva.is_trusted() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.is_trusted() TO authenticated;
GRANT ALL ON FUNCTION filaviva.is_trusted() TO service_role;
