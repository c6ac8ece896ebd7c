CREATE FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.limit_queue(p_queue, p_limiter, p_key) $$;

REVOKE ALL ON FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text) TO authenticated;
GRANT ALL ON FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text) TO service_role;
