CREATE FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text DEFAULT ''::text, p_extra jsonb DEFAULT '{}'::jsonb, p_scopes jsonb DEFAULT '[]'::jsonb, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS uuid
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select filaviva.connect_account(p_user_id, p_platform, p_external_id, p_display_name, p_secrets, p_kind, p_extra, p_scopes, p_expires_at)
$$;

COMMENT ON FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) IS 'Stores a user''s account with its tokens; for the service role. p_secrets: {access_token, refresh_token?, user_token?}; p_extra holds nothing secret. Answers the account''s id.';

REVOKE ALL ON FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb, p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamp with time zone) TO service_role;
