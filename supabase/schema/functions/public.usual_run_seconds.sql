CREATE FUNCTION public.usual_run_seconds(p_queue text) RETURNS double precision
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.usual_run_seconds(p_queue) $$;

REVOKE ALL ON FUNCTION public.usual_run_seconds(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.usual_run_seconds(p_queue text) TO service_role;
