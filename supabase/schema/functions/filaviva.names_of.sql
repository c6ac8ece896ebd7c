CREATE FUNCTION filaviva.names_of(p_names jsonb) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
begin
  if jsonb_typeof(p_names) is distinct from 'array' then
    perform filaviva.fail(400, 'invalid_field', 'p_queues must be an array of names.', 'Send ["a_queue", …].');
  end if;
  return array(select n from jsonb_array_elements_text(p_names) n);
end
$$;

COMMENT ON FUNCTION filaviva.names_of(p_names jsonb) IS 'A JSON array of names as an array.';

REVOKE ALL ON FUNCTION filaviva.names_of(p_names jsonb) FROM PUBLIC;
