CREATE FUNCTION public.set_alert_rule(p_name text, p_settings jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.set_alert_rule(p_name, p_settings) $$;

COMMENT ON FUNCTION public.set_alert_rule(p_name text, p_settings jsonb) IS 'Makes an alert rule or changes one; for operators.';

REVOKE ALL ON FUNCTION public.set_alert_rule(p_name text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_alert_rule(p_name text, p_settings jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.set_alert_rule(p_name text, p_settings jsonb) TO service_role;
