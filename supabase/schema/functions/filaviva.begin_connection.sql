CREATE FUNCTION filaviva.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  c_open_for_a_user constant int := 20;
  v_now constant timestamptz := filaviva.now();
  v_expires_at constant timestamptz := v_now + interval '10 minutes';
begin
  if length(p_state_hash) <> 64 or length(p_browser_hash) <> 64 then
    perform filaviva.fail(400, 'invalid_field', 'p_state_hash and p_browser_hash must be SHA-256 digests in hex.', 'Send digests, never the values themselves.');
  end if;
  delete from filaviva.account_connections c
  where c.state_hash in (select o.state_hash from filaviva.account_connections o where o.expires_at <= v_now limit 100 for update skip locked);
  delete from filaviva.account_connections c
  where c.state_hash in (
    select o.state_hash from filaviva.account_connections o where o.user_id = p_user_id
    order by o.expires_at desc offset c_open_for_a_user - 1);
  insert into filaviva.account_connections (state_hash, user_id, platform, browser_hash, verifier, wanted, expires_at)
  values (p_state_hash, p_user_id, p_platform, p_browser_hash, p_verifier, p_wanted, v_expires_at);
  return v_expires_at;
end
$$;

COMMENT ON FUNCTION filaviva.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) IS 'Keeps a sign-in that a user begins at a platform; answers until when. Of one user''s open ones it keeps the latest twenty.';

REVOKE ALL ON FUNCTION filaviva.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) TO service_role;
