CREATE FUNCTION public.probe_answer(p_request_id bigint) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.probe_answer(p_request_id) $$;

COMMENT ON FUNCTION public.probe_answer(p_request_id bigint) IS 'What came of a call of probe_drain(); for the service role.';

REVOKE ALL ON FUNCTION public.probe_answer(p_request_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.probe_answer(p_request_id bigint) TO service_role;
