CREATE FUNCTION filaviva.facts_of_publication(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object('exists', count(*) > 0, 'complete', coalesce(bool_and(p.pubinsert and p.pubupdate and p.pubdelete), false))
  from pg_catalog.pg_publication p where p.pubname = 'supabase_realtime'
$$;

COMMENT ON FUNCTION filaviva.facts_of_publication(p_needs jsonb) IS 'Whether Realtimes publication is there and has every kind of change.';

REVOKE ALL ON FUNCTION filaviva.facts_of_publication(p_needs jsonb) FROM PUBLIC;
