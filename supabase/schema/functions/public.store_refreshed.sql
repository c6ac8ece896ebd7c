CREATE FUNCTION public.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.store_refreshed(p_account_id, p_fence, p_secrets, p_expires_at) $$;

COMMENT ON FUNCTION public.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) IS 'Stores renewed tokens under the latest fence; null when it is not.';

REVOKE ALL ON FUNCTION public.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamp with time zone) TO service_role;
