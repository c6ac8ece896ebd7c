CREATE FUNCTION public.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text DEFAULT NULL::text) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.begin_connection(p_user_id, p_platform, p_state_hash, p_browser_hash, p_verifier, p_wanted) $$;

COMMENT ON FUNCTION public.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) IS 'Keeps a sign-in that a user begins at a platform, for ten minutes; for the service role.';

REVOKE ALL ON FUNCTION public.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_connection(p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text) TO service_role;
