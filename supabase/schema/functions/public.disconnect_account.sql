CREATE FUNCTION public.disconnect_account(p_account_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.disconnect_account(p_account_id) $$;

COMMENT ON FUNCTION public.disconnect_account(p_account_id uuid) IS 'Forgets an account of the caller''s, and its tokens with it. DELETE /api/accounts/{id} does the same and revokes the tokens at the platform first.';

REVOKE ALL ON FUNCTION public.disconnect_account(p_account_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.disconnect_account(p_account_id uuid) TO authenticated;
GRANT ALL ON FUNCTION public.disconnect_account(p_account_id uuid) TO service_role;
