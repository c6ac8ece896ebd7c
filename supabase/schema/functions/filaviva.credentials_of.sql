CREATE FUNCTION filaviva.credentials_of(p_account public.social_accounts) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select case when p_account.status = 'connected' then coalesce(filaviva.secret('social_account:' || p_account.id)::jsonb, '{}') else '{}' end
    || jsonb_build_object(
      'account_id', p_account.id, 'external_id', p_account.external_id, 'display_name', p_account.display_name, 'status', p_account.status,
      'kind', p_account.kind, 'extra', p_account.extra, 'expires_at', p_account.token_expires_at,
      'token_version', (select t.token_version from filaviva.account_tokens t where t.account_id = p_account.id))
$$;

COMMENT ON FUNCTION filaviva.credentials_of(p_account public.social_accounts) IS 'An account as the worker takes it; with its tokens unless it must be connected again.';

REVOKE ALL ON FUNCTION filaviva.credentials_of(p_account public.social_accounts) FROM PUBLIC;
