CREATE FUNCTION filaviva.group_key_of(p_path text, p_position integer, p_job jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_part text;
  v_value jsonb;
  v_values text[] := '{}';
begin
  foreach v_part in array string_to_array(p_path, ':') loop
    v_value := p_job #> string_to_array(v_part, '.');
    -- Without the value the job would run beside those it should follow: better none than one out of order.
    if coalesce(jsonb_typeof(v_value), 'null') not in ('string', 'number') or v_value = '""' then
      perform filaviva.fail(400, 'invalid_field',
        format('%s of job %s must be a text that is not empty, or a number: the group of its kind is taken from it.', v_part, p_position),
        'Give the job that value, or name its group_key.');
    end if;
    v_values := v_values || (v_value #>> '{}');
  end loop;
  return filaviva.fold_key(array_to_string(v_values, ':'));
end
$$;

COMMENT ON FUNCTION filaviva.group_key_of(p_path text, p_position integer, p_job jsonb) IS 'The group key of a new job: the values at the paths, with : between them; a long one is folded.';

REVOKE ALL ON FUNCTION filaviva.group_key_of(p_path text, p_position integer, p_job jsonb) FROM PUBLIC;
