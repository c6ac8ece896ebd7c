CREATE FUNCTION public.record_runs(p_runs jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.record_runs(p_runs) $$;

REVOKE ALL ON FUNCTION public.record_runs(p_runs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_runs(p_runs jsonb) TO service_role;
