CREATE FUNCTION public.register_kind(p_kind text, p_settings jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.register_kind(p_kind, p_settings) $$;

REVOKE ALL ON FUNCTION public.register_kind(p_kind text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.register_kind(p_kind text, p_settings jsonb) TO service_role;
