CREATE FUNCTION filaviva.diagnose(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select jsonb_object_agg(s.subject, filaviva.facts_of(s.subject, p_needs))
  from unnest(array[
    'engine', 'tables', 'publication', 'topics', 'extensions', 'schedules', 'drain', 'queues', 'workers', 'alerts', 'accounts', 'server'
  ]) as s(subject)
$$;

COMMENT ON FUNCTION filaviva.diagnose(p_needs jsonb) IS 'How the project stands, one key a subject, none of them judged. p_needs: {tables, functions}, the names in schema public that the caller relies on. Holds no secret.';

REVOKE ALL ON FUNCTION filaviva.diagnose(p_needs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.diagnose(p_needs jsonb) TO service_role;
