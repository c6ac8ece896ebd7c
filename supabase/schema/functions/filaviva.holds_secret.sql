CREATE FUNCTION filaviva.holds_secret(p_facts jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $_$
  select jsonb_path_exists(p_facts, '$.** ? (exists(@.access_token) || exists(@.refresh_token) || exists(@.id_token) || exists(@.user_token)
    || exists(@.token) || exists(@.client_secret) || exists(@.secret) || exists(@.password) || exists(@.code))')
$_$;

COMMENT ON FUNCTION filaviva.holds_secret(p_facts jsonb) IS 'Whether something in it, however deep, has the name of a secret.';

REVOKE ALL ON FUNCTION filaviva.holds_secret(p_facts jsonb) FROM PUBLIC;
