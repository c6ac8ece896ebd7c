CREATE FUNCTION public.create_company(p_name text, p_owner uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.create_company(p_name, p_owner) $$;

REVOKE ALL ON FUNCTION public.create_company(p_name text, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_company(p_name text, p_owner uuid) TO authenticated;
GRANT ALL ON FUNCTION public.create_company(p_name text, p_owner uuid) TO service_role;
