CREATE FUNCTION public.rate_limit_status(p_limiter text, p_key text) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.rate_limit_status(p_limiter, p_key) $$;

REVOKE ALL ON FUNCTION public.rate_limit_status(p_limiter text, p_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.rate_limit_status(p_limiter text, p_key text) TO authenticated;
GRANT ALL ON FUNCTION public.rate_limit_status(p_limiter text, p_key text) TO service_role;
