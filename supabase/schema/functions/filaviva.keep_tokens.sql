CREATE FUNCTION filaviva.keep_tokens(p_account_id uuid, p_secrets jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.put_secret('social_account:' || p_account_id, jsonb_strip_nulls(p_secrets)::text);
  insert into filaviva.account_tokens as t (account_id) values (p_account_id)
  on conflict (account_id) do update set token_version = t.token_version + 1, fence = t.fence + 1, refresh_until = null;
end
$$;

COMMENT ON FUNCTION filaviva.keep_tokens(p_account_id uuid, p_secrets jsonb) IS 'Stores all of an account''s tokens in one write, and ends every right to renew the earlier ones. The account''s row must be locked.';

REVOKE ALL ON FUNCTION filaviva.keep_tokens(p_account_id uuid, p_secrets jsonb) FROM PUBLIC;
