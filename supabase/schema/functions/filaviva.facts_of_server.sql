CREATE FUNCTION filaviva.facts_of_server(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'connections', (select count(*) from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
    'max_connections', current_setting('max_connections')::int,
    'old_transaction', (
      select to_jsonb(f) from filaviva.find_old_transaction(
        jsonb_populate_record(null::public.alert_rules, '{"max_seconds": 60}'), clock_timestamp()
      ) f
    )
  )
$$;

COMMENT ON FUNCTION filaviva.facts_of_server(p_needs jsonb) IS 'How many connections are taken, and the oldest transaction that has been open for over a minute.';

REVOKE ALL ON FUNCTION filaviva.facts_of_server(p_needs jsonb) FROM PUBLIC;
