CREATE FUNCTION public.create_queue(p_name text, p_settings jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.create_queue(p_name, p_settings) $$;

REVOKE ALL ON FUNCTION public.create_queue(p_name text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_queue(p_name text, p_settings jsonb) TO service_role;
