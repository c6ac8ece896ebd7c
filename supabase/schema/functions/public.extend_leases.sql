CREATE FUNCTION public.extend_leases(p_leases jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.extend_leases(p_leases) $$;

REVOKE ALL ON FUNCTION public.extend_leases(p_leases jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extend_leases(p_leases jsonb) TO service_role;
