CREATE FUNCTION filaviva.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_account public.social_accounts := filaviva.lock_account(p_account_id);
begin
  if coalesce(p_secrets ->> 'access_token', '') = '' then
    perform filaviva.fail(400, 'invalid_field', 'p_secrets needs an access_token.', 'Send {"access_token": …} and whatever the platform gave with it.');
  end if;
  if v_account.status is distinct from 'connected'
    or not exists (select from filaviva.account_tokens t where t.account_id = p_account_id and t.fence = p_fence) then
    return null;
  end if;
  update public.social_accounts a set token_expires_at = p_expires_at, version = a.version + 1, updated_at = filaviva.now()
  where a.id = p_account_id
  returning * into v_account;
  perform filaviva.keep_tokens(p_account_id,
    coalesce(filaviva.secret('social_account:' || p_account_id)::jsonb, '{}') || jsonb_strip_nulls(p_secrets));
  return filaviva.credentials_of(v_account);
end
$$;

COMMENT ON FUNCTION filaviva.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) IS 'Stores renewed tokens, all in one write, if the fence is still the latest; what p_secrets leaves out stays as it was. Answers the new credentials, or null when the right was lost: then nothing was stored.';

REVOKE ALL ON FUNCTION filaviva.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) TO service_role;
