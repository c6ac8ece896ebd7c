CREATE FUNCTION filaviva.disconnect_account(p_account_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_user_id constant uuid := filaviva.caller_id();
begin
  delete from public.social_accounts a where a.id = p_account_id and (v_user_id is null or a.user_id = v_user_id);
  if not found then
    perform filaviva.fail(404, 'unknown_account', 'You have no such account.', 'Read social_accounts: it lists those that are connected.');
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.disconnect_account(p_account_id uuid) IS 'Forgets an account of the caller''s, and its tokens with it. It does not tell the platform.';

REVOKE ALL ON FUNCTION filaviva.disconnect_account(p_account_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.disconnect_account(p_account_id uuid) TO authenticated;
GRANT ALL ON FUNCTION filaviva.disconnect_account(p_account_id uuid) TO service_role;
