CREATE FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text DEFAULT 'claims'::text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.limit_queue(p_queue, p_limiter, p_key, p_counts) $$;

REVOKE ALL ON FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) TO authenticated;
GRANT ALL ON FUNCTION public.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) TO service_role;
