CREATE FUNCTION filaviva.abandon_refresh(p_account_id uuid, p_fence bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  update filaviva.account_tokens t set refresh_until = null
  where t.account_id = p_account_id and t.fence = p_fence and t.refresh_until is not null;
  return found;
end
$$;

COMMENT ON FUNCTION filaviva.abandon_refresh(p_account_id uuid, p_fence bigint) IS 'Gives the right to renew back, so that the next one need not wait for its end.';

REVOKE ALL ON FUNCTION filaviva.abandon_refresh(p_account_id uuid, p_fence bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.abandon_refresh(p_account_id uuid, p_fence bigint) TO service_role;
