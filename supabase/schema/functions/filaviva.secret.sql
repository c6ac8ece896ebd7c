CREATE FUNCTION filaviva.secret(p_name text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$ select s.decrypted_secret from vault.decrypted_secrets s where s.name = p_name $$;

COMMENT ON FUNCTION filaviva.secret(p_name text) IS 'A secret of the vault by its name, for the engine alone; null when there is none.';

REVOKE ALL ON FUNCTION filaviva.secret(p_name text) FROM PUBLIC;
