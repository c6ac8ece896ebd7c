CREATE FUNCTION public.diagnose(p_needs jsonb DEFAULT '{"tables": [], "functions": []}'::jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.diagnose(p_needs) $$;

COMMENT ON FUNCTION public.diagnose(p_needs jsonb) IS 'How the project stands, for `filaviva doctor`; for the service role.';

REVOKE ALL ON FUNCTION public.diagnose(p_needs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.diagnose(p_needs jsonb) TO service_role;
