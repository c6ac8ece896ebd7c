CREATE FUNCTION filaviva.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now constant timestamptz := filaviva.now();
  v_account constant public.social_accounts := filaviva.lock_account(p_account_id);
  v_tokens filaviva.account_tokens;
begin
  if p_lease_seconds is null or p_lease_seconds not between 1 and 600 then
    perform filaviva.fail(400, 'invalid_field', 'p_lease_seconds must be from 1 to 600.', 'Send how long the call to the platform may take, with a margin.');
  end if;
  if v_account.id is null then
    return jsonb_build_object('state', 'gone');
  end if;
  if v_account.status = 'reconnect' then
    return jsonb_build_object('state', 'reconnect');
  end if;
  select * into v_tokens from filaviva.account_tokens t where t.account_id = p_account_id;
  if v_tokens.token_version <> p_token_version then
    return jsonb_build_object('state', 'renewed', 'credentials', filaviva.credentials_of(v_account));
  end if;
  if v_tokens.refresh_until > v_now then
    return jsonb_build_object('state', 'busy', 'after_seconds', ceil(extract(epoch from v_tokens.refresh_until - v_now)));
  end if;
  update filaviva.account_tokens t set fence = t.fence + 1, refresh_until = v_now + make_interval(secs => p_lease_seconds)
  where t.account_id = p_account_id
  returning * into v_tokens;
  return jsonb_build_object('state', 'yours', 'fence', v_tokens.fence, 'credentials', filaviva.credentials_of(v_account));
end
$$;

COMMENT ON FUNCTION filaviva.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) IS 'Asks for the right to renew an account''s tokens, of which the caller knows a version. Answers {state}: yours (with fence and credentials), busy (with after_seconds, at most), renewed (with the newer credentials), reconnect, gone.';

REVOKE ALL ON FUNCTION filaviva.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) TO service_role;
