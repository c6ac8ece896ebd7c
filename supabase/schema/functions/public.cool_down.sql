CREATE FUNCTION public.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text DEFAULT ''::text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.cool_down(p_limiter, p_key, p_until, p_reason) $$;

REVOKE ALL ON FUNCTION public.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text) TO service_role;
