CREATE FUNCTION public.my_rate_limits() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$ select filaviva.my_rate_limits() $$;

REVOKE ALL ON FUNCTION public.my_rate_limits() FROM PUBLIC;
GRANT ALL ON FUNCTION public.my_rate_limits() TO authenticated;
