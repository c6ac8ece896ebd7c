CREATE FUNCTION public.rescue_jobs(p_limit integer DEFAULT 1000) RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.rescue_jobs(p_limit) $$;

REVOKE ALL ON FUNCTION public.rescue_jobs(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.rescue_jobs(p_limit integer) TO service_role;
