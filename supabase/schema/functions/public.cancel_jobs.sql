CREATE FUNCTION public.cancel_jobs(p_filter jsonb, p_limit integer DEFAULT 1000) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.cancel_jobs(p_filter, p_limit) $$;

REVOKE ALL ON FUNCTION public.cancel_jobs(p_filter jsonb, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_jobs(p_filter jsonb, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION public.cancel_jobs(p_filter jsonb, p_limit integer) TO service_role;
