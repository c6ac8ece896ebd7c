CREATE FUNCTION filaviva.facts_of_engine(p_needs jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_migration text;
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select max(m.version) from supabase_migrations.schema_migrations m' into v_migration;
  end if;
  return jsonb_build_object(
    'postgres', current_setting('server_version'),
    'started_at', pg_postmaster_start_time(),
    'database', current_database(),
    'clock', clock_timestamp(),
    'shifted_seconds', (select extract(epoch from c.shift) from filaviva.clock_shift c),
    'migration', v_migration,
    'missing_functions', (
      select coalesce(jsonb_agg(f.name order by f.name), '[]') from jsonb_array_elements_text(p_needs -> 'functions') as f(name)
      where not exists (select from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname = f.name)
    )
  );
end
$$;

COMMENT ON FUNCTION filaviva.facts_of_engine(p_needs jsonb) IS 'The server, its clock and the engines, the newest migration, and which needed functions are missing.';

REVOKE ALL ON FUNCTION filaviva.facts_of_engine(p_needs jsonb) FROM PUBLIC;
