CREATE FUNCTION filaviva.take_connection(p_platform text, p_state_hash text, p_browser_hash text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_taken filaviva.account_connections;
begin
  delete from filaviva.account_connections c where c.state_hash = p_state_hash returning * into v_taken;
  if v_taken.platform = p_platform and v_taken.browser_hash = p_browser_hash and v_taken.expires_at > filaviva.now() then
    return jsonb_build_object('user_id', v_taken.user_id, 'verifier', v_taken.verifier, 'wanted', v_taken.wanted);
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION filaviva.take_connection(p_platform text, p_state_hash text, p_browser_hash text) IS 'The sign-in with this state, for the browser that began it, on its platform and in its time; else null. Asked for once, it is gone either way.';

REVOKE ALL ON FUNCTION filaviva.take_connection(p_platform text, p_state_hash text, p_browser_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.take_connection(p_platform text, p_state_hash text, p_browser_hash text) TO service_role;
