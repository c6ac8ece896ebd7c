CREATE FUNCTION filaviva.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  v_account constant public.social_accounts := filaviva.lock_account(p_account_id);
begin
  if coalesce(p_reason, '') !~ '^[a-z_]{1,63}$' then
    perform filaviva.fail(400, 'invalid_field', 'p_reason must be a code: lower-case letters and underscores.', 'Send a code such as token_refused; the words of a platform may hold a secret.');
  end if;
  if v_account.status is distinct from 'connected'
    or not exists (select from filaviva.account_tokens t where t.account_id = p_account_id and t.token_version = p_token_version) then
    return false;
  end if;
  update public.social_accounts a
  set status = 'reconnect', reconnect_reason = p_reason, version = a.version + 1, updated_at = filaviva.now()
  where a.id = p_account_id;
  update filaviva.account_tokens t set fence = t.fence + 1, refresh_until = null where t.account_id = p_account_id;
  return true;
end
$_$;

COMMENT ON FUNCTION filaviva.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) IS 'Says that the platform accepts an account''s tokens no longer. Answers false, and changes nothing, when they have been replaced since or it was said already.';

REVOKE ALL ON FUNCTION filaviva.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) TO service_role;
