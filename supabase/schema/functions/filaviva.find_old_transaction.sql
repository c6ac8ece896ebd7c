CREATE FUNCTION filaviva.find_old_transaction(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select null, format('A transaction of %s has been open for %s seconds, and no dead row can be removed until it ends.',
      o.usename, floor(extract(epoch from p_now - o.started_at))),
    jsonb_build_object('pid', o.pid, 'user', o.usename, 'application', o.application_name, 'state', o.state, 'prepared', o.gid, 'since', o.started_at)
  from (
    select a.pid, a.usename::text, a.application_name, a.state, null::text as gid, a.xact_start as started_at
    from pg_catalog.pg_stat_activity a
    where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
      and (a.backend_xmin is not null or a.backend_xid is not null)
    union all
    select null, p.owner::text, null, null, p.gid, p.prepared
    from pg_catalog.pg_prepared_xacts p where p.database = current_database()
  ) o
  where o.started_at < p_now - make_interval(secs => p_rule.max_seconds)
  order by o.started_at
  limit 1
$$;

COMMENT ON FUNCTION filaviva.find_old_transaction(p_rule public.alert_rules, p_now timestamp with time zone) IS 'The oldest transaction that holds back the removal of dead rows: every queue grows slower with each of them.';

REVOKE ALL ON FUNCTION filaviva.find_old_transaction(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
