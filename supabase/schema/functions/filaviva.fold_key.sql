CREATE FUNCTION filaviva.fold_key(p_key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
begin
  return case when length(p_key) > 200 then left(p_key, 150) || ':' || md5(p_key) else p_key end;
end
$$;

COMMENT ON FUNCTION filaviva.fold_key(p_key text) IS 'A key as limits keep it: a long one keeps its beginning and a hash, since an index bears no more.';

REVOKE ALL ON FUNCTION filaviva.fold_key(p_key text) FROM PUBLIC;
