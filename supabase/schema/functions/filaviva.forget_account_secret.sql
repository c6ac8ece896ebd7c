CREATE FUNCTION filaviva.forget_account_secret() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  delete from vault.secrets where name = 'social_account:' || old.id;
  return null;
end
$$;

REVOKE ALL ON FUNCTION filaviva.forget_account_secret() FROM PUBLIC;
