CREATE FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select filaviva.credentials_of(a) from public.social_accounts a where a.user_id = p_user_id and a.platform = p_platform
$$;

COMMENT ON FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) IS 'An account with its tokens, for the worker at the moment of the call; without them when its status is reconnect, null when there is none.';

REVOKE ALL ON FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.account_credentials(p_user_id uuid, p_platform text) TO service_role;
