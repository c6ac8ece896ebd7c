CREATE FUNCTION filaviva.require_operator() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may do this.', 'Use the service key, SQL as postgres, or a user whose app_metadata.filaviva_role is operator.');
  end if;
end
$$;

REVOKE ALL ON FUNCTION filaviva.require_operator() FROM PUBLIC;
