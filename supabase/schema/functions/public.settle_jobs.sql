CREATE FUNCTION public.settle_jobs(p_results jsonb) RETURNS json
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.settle_jobs(p_results) $$;

REVOKE ALL ON FUNCTION public.settle_jobs(p_results jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_jobs(p_results jsonb) TO service_role;
