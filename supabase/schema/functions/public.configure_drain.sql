CREATE FUNCTION public.configure_drain(p_url text, p_token text, p_call_timeout_ms integer DEFAULT 2000) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.configure_drain(p_url, p_token, p_call_timeout_ms) $$;

REVOKE ALL ON FUNCTION public.configure_drain(p_url text, p_token text, p_call_timeout_ms integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.configure_drain(p_url text, p_token text, p_call_timeout_ms integer) TO service_role;
