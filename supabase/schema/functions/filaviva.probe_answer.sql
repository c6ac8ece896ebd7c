CREATE FUNCTION filaviva.probe_answer(p_request_id bigint) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'status_code', r.status_code, 'error', left(r.error_msg, 200), 'timed_out', coalesce(r.timed_out, false),
    'is_drain', coalesce(r.content like '%"claimed"%', false)
  )
  from net._http_response r where r.id = p_request_id
$$;

COMMENT ON FUNCTION filaviva.probe_answer(p_request_id bigint) IS 'What came of a call of probe_drain(): {status_code, error, timed_out, is_drain}; null while it is under way.';

REVOKE ALL ON FUNCTION filaviva.probe_answer(p_request_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.probe_answer(p_request_id bigint) TO service_role;
