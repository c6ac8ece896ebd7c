CREATE FUNCTION public.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.set_company_member(p_company_id, p_user_id, p_role) $$;

REVOKE ALL ON FUNCTION public.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) TO authenticated;
GRANT ALL ON FUNCTION public.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) TO service_role;
