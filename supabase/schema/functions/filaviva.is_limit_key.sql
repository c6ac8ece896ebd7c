CREATE FUNCTION filaviva.is_limit_key(p_key text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $_$
declare
  c_part constant text := '(queue|kind|user_id|company_id|instance_id|group_key|(payload|metadata)([.][A-Za-z0-9_-]+)+)(=[A-Za-z0-9_-]+)?';
begin
  return length(p_key) <= 500 and p_key ~ ('^' || c_part || '([+]' || c_part || ')*$');
end
$_$;

COMMENT ON FUNCTION filaviva.is_limit_key(p_key text) IS 'Whether a text says where in a job the key of a limit stands.';

REVOKE ALL ON FUNCTION filaviva.is_limit_key(p_key text) FROM PUBLIC;
