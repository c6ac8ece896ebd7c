CREATE FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select jsonb_build_object('account_id', a.id, 'external_id', a.external_id, 'display_name', a.display_name)
    || filaviva.secret('social_account:' || a.id)::jsonb
  from public.social_accounts a
  where a.user_id = p_user_id and a.platform = p_platform and a.status = 'connected'
$$;

COMMENT ON FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) IS 'An account with its tokens, for the worker at the moment of the call; null when none is connected.';

REVOKE ALL ON FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) TO service_role;
