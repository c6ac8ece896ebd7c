CREATE FUNCTION public.account_credentials(p_user_id uuid, p_platform text) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.account_credentials(p_user_id, p_platform) $$;

REVOKE ALL ON FUNCTION public.account_credentials(p_user_id uuid, p_platform text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.account_credentials(p_user_id uuid, p_platform text) TO service_role;
