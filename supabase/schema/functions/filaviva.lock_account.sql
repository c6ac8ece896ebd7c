CREATE FUNCTION filaviva.lock_account(p_account_id uuid) RETURNS public.social_accounts
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_account public.social_accounts;
begin
  select * into v_account from public.social_accounts a where a.id = p_account_id for no key update;
  return v_account;
end
$$;

COMMENT ON FUNCTION filaviva.lock_account(p_account_id uuid) IS 'An account, locked until the transaction ends; null when there is none. First of the locks of accounts.';

REVOKE ALL ON FUNCTION filaviva.lock_account(p_account_id uuid) FROM PUBLIC;
