CREATE FUNCTION public.check_alerts() RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.check_alerts() $$;

COMMENT ON FUNCTION public.check_alerts() IS 'Checks every alert rule now: {opened, resolved, broken, open}; for the service role.';

REVOKE ALL ON FUNCTION public.check_alerts() FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_alerts() TO service_role;
