CREATE FUNCTION filaviva.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_id uuid;
begin
  if coalesce(p_secrets ->> 'access_token', '') = '' then
    perform filaviva.fail(400, 'invalid_field', 'p_secrets needs an access_token.', 'Send {"access_token": …} and whatever the platform gave with it.');
  end if;
  if filaviva.holds_secret(p_extra) then  -- looked at before the insert, whose refusal would quote the row
    perform filaviva.fail(400, 'invalid_field', 'p_extra holds the name of a secret.', 'Its owner reads p_extra; what is secret goes into p_secrets.');
  end if;
  insert into public.social_accounts (user_id, platform, external_id, display_name, kind, extra, scopes, token_expires_at)
  values (p_user_id, p_platform, p_external_id, p_display_name, coalesce(p_kind, ''), coalesce(p_extra, '{}'), coalesce(p_scopes, '[]'), p_expires_at)
  on conflict on constraint a_user_has_one_account_a_platform do update set
    external_id = excluded.external_id, display_name = excluded.display_name, status = 'connected', reconnect_reason = null,
    kind = excluded.kind, extra = excluded.extra, scopes = excluded.scopes, token_expires_at = excluded.token_expires_at,
    version = social_accounts.version + 1, updated_at = filaviva.now()
  returning id into v_id;
  perform filaviva.keep_tokens(v_id, p_secrets);
  return v_id;
end
$$;

COMMENT ON FUNCTION filaviva.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) IS 'Stores a user''s account on a platform with its tokens, over an earlier one; for the service role, after the platform''s own sign-in.';

REVOKE ALL ON FUNCTION filaviva.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) TO service_role;
