CREATE FUNCTION public.take_connection(p_platform text, p_state_hash text, p_browser_hash text) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.take_connection(p_platform, p_state_hash, p_browser_hash) $$;

COMMENT ON FUNCTION public.take_connection(p_platform text, p_state_hash text, p_browser_hash text) IS 'Takes a sign-in that was begun, once: {user_id, verifier, wanted}, or null; for the service role.';

REVOKE ALL ON FUNCTION public.take_connection(p_platform text, p_state_hash text, p_browser_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_connection(p_platform text, p_state_hash text, p_browser_hash text) TO service_role;
