CREATE FUNCTION public.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.mark_reconnect(p_account_id, p_token_version, p_reason) $$;

COMMENT ON FUNCTION public.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) IS 'Says that an account must be connected again; its owner sees it at once.';

REVOKE ALL ON FUNCTION public.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) TO service_role;
