CREATE FUNCTION public.probe_drain() RETURNS bigint
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.probe_drain() $$;

COMMENT ON FUNCTION public.probe_drain() IS 'Calls the drain for no queue, to see whether it answers; for the service role.';

REVOKE ALL ON FUNCTION public.probe_drain() FROM PUBLIC;
GRANT ALL ON FUNCTION public.probe_drain() TO service_role;
