CREATE FUNCTION public.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.begin_refresh(p_account_id, p_token_version, p_lease_seconds) $$;

COMMENT ON FUNCTION public.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) IS 'The right to renew an account''s tokens, for one worker at a time.';

REVOKE ALL ON FUNCTION public.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds integer) TO service_role;
