CREATE FUNCTION filaviva.facts_of_extensions(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'versions', (
      select coalesce(jsonb_object_agg(n.name, e.extversion), '{}')
      from unnest(array['pgmq', 'pg_cron', 'pg_net', 'supabase_vault']) as n(name)
        left join pg_catalog.pg_extension e on e.extname = n.name
    ),
    'missing_pgmq', (
      select coalesce(jsonb_agg(f.name order by f.name), '[]')
      from unnest(array['create', 'delete', 'read', 'send_batch', 'set_vt']) as f(name)
      where not exists (
        select from pg_catalog.pg_proc p join pg_catalog.pg_namespace s on s.oid = p.pronamespace
        where s.nspname = 'pgmq' and p.proname = f.name
      )
    )
  )
$$;

COMMENT ON FUNCTION filaviva.facts_of_extensions(p_needs jsonb) IS 'The versions of the extensions, and which of the needed functions pgmq lacks.';

REVOKE ALL ON FUNCTION filaviva.facts_of_extensions(p_needs jsonb) FROM PUBLIC;
