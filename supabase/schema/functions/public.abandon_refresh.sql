CREATE FUNCTION public.abandon_refresh(p_account_id uuid, p_fence bigint) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.abandon_refresh(p_account_id, p_fence) $$;

COMMENT ON FUNCTION public.abandon_refresh(p_account_id uuid, p_fence bigint) IS 'Gives the right to renew an account''s tokens back.';

REVOKE ALL ON FUNCTION public.abandon_refresh(p_account_id uuid, p_fence bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.abandon_refresh(p_account_id uuid, p_fence bigint) TO service_role;
