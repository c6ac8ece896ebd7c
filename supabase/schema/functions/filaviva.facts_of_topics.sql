CREATE FUNCTION filaviva.facts_of_topics(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'hear', coalesce(bool_or(p.cmd in ('SELECT', 'ALL') and p.qual like '%may_use_topic%'), false),
    'speak', coalesce(bool_or(p.cmd in ('INSERT', 'ALL') and coalesce(p.with_check, p.qual) like '%may_use_topic%'), false)
  )
  from pg_catalog.pg_policies p where p.schemaname = 'realtime' and p.tablename = 'messages'
$$;

COMMENT ON FUNCTION filaviva.facts_of_topics(p_needs jsonb) IS 'Whether policies let users hear and speak on private topics.';

REVOKE ALL ON FUNCTION filaviva.facts_of_topics(p_needs jsonb) FROM PUBLIC;
