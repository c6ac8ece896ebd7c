CREATE FUNCTION public.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.set_rate_limiter(p_name, p_max_hits, p_window_seconds) $$;

REVOKE ALL ON FUNCTION public.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) TO authenticated;
GRANT ALL ON FUNCTION public.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) TO service_role;
