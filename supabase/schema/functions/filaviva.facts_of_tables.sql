CREATE FUNCTION filaviva.facts_of_tables(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', n.name,
    'exists', c.oid is not null,
    'rls', c.relrowsecurity,
    'policies', (select count(*) from pg_catalog.pg_policy p where p.polrelid = c.oid),
    'identity', c.relreplident,
    'has_key', exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary),
    'published', exists (
      select from pg_catalog.pg_publication_tables t
      where t.pubname = 'supabase_realtime' and t.schemaname = 'public' and t.tablename = n.name
    )
  ) order by n.name), '[]')
  from jsonb_array_elements_text(p_needs -> 'tables') as n(name)
    left join pg_catalog.pg_class c on c.relnamespace = 'public'::regnamespace and c.relname = n.name and c.relkind in ('r', 'p')
$$;

COMMENT ON FUNCTION filaviva.facts_of_tables(p_needs jsonb) IS 'Of each needed table: whether it is there, its row security, its policies, its replica identity, and whether it is published.';

REVOKE ALL ON FUNCTION filaviva.facts_of_tables(p_needs jsonb) FROM PUBLIC;
