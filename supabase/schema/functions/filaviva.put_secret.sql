CREATE FUNCTION filaviva.put_secret(p_name text, p_secret text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_id uuid := (select s.id from vault.secrets s where s.name = p_name);
begin
  if v_id is null then
    perform vault.create_secret(p_secret, p_name);
  else
    perform vault.update_secret(v_id, p_secret);
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.put_secret(p_name text, p_secret text) IS 'Stores a secret under a name, over an older one.';

REVOKE ALL ON FUNCTION filaviva.put_secret(p_name text, p_secret text) FROM PUBLIC;
