CREATE FUNCTION filaviva.fail(p_status integer, p_code text, p_message text, p_hint text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  raise exception using errcode = 'PT' || p_status, message = p_message, detail = p_code, hint = p_hint;
end
$$;

COMMENT ON FUNCTION filaviva.fail(p_status integer, p_code text, p_message text, p_hint text) IS 'Raises PTnnn, which the API turns into HTTP status nnn; the machine code travels in DETAIL, the remedy in HINT. docs/errors.md lists every code.';

REVOKE ALL ON FUNCTION filaviva.fail(p_status integer, p_code text, p_message text, p_hint text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.fail(p_status integer, p_code text, p_message text, p_hint text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.fail(p_status integer, p_code text, p_message text, p_hint text) TO service_role;
