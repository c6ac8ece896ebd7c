CREATE FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb) RETURNS uuid
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.connect_account(p_user_id, p_platform, p_external_id, p_display_name, p_secrets) $$;

REVOKE ALL ON FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb) TO service_role;
