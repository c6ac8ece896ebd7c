-- Realtime: its schema, and the publication that says which tables are streamed.
-- The publication starts empty and belongs to postgres, so that migrations can add their tables to it.

create schema realtime;
grant all on schema realtime to supabase_realtime_admin;
grant usage on schema realtime to postgres, anon, authenticated, service_role;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;
