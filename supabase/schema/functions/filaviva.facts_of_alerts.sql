CREATE FUNCTION filaviva.facts_of_alerts(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'open', (
      select coalesce(jsonb_agg(jsonb_build_object('rule', a.rule, 'kind', a.kind, 'queue', a.queue, 'message', a.message) order by a.id), '[]')
      from public.alerts a where a.resolved_at is null
    ),
    'broken_rules', (
      select coalesce(jsonb_agg(jsonb_build_object('name', r.name, 'problem', r.problem) order by r.name), '[]')
      from public.alert_rules r where r.enabled and r.problem is not null
    )
  )
$$;

COMMENT ON FUNCTION filaviva.facts_of_alerts(p_needs jsonb) IS 'The open alerts, and the rules that cannot be checked.';

REVOKE ALL ON FUNCTION filaviva.facts_of_alerts(p_needs jsonb) FROM PUBLIC;
