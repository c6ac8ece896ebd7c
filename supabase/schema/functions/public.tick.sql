CREATE FUNCTION public.tick() RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.tick() $$;

REVOKE ALL ON FUNCTION public.tick() FROM PUBLIC;
GRANT ALL ON FUNCTION public.tick() TO service_role;
