CREATE FUNCTION filaviva.caller_id() RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  if filaviva.is_trusted() then
    return null;
  end if;
  if auth.uid() is null then
    perform filaviva.fail(401, 'not_signed_in', 'This call needs a signed-in user.',
      'Send the user''s access token as Authorization: Bearer <token>.');
  end if;
  return auth.uid();
end
$$;

COMMENT ON FUNCTION filaviva.caller_id() IS 'The signed-in user, or null for a trusted caller, who may act for anyone. Raises PT401 for anybody else.';

REVOKE ALL ON FUNCTION filaviva.caller_id() FROM PUBLIC;
