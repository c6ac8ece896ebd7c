-- Notes that only their owner sees, and that are archived in the night after they are a week old.
create extension pg_cron;

create schema app;
create table app.clock (ahead interval not null default '0');
insert into app.clock default values;

create function app.now() returns timestamptz language sql stable set search_path = ''
as $$ select clock_timestamp() + (select ahead from app.clock) $$;

create table public.notes (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid() references auth.users,
  text text not null,
  created_at timestamptz not null default clock_timestamp(),
  archived boolean not null default false
);
alter table public.notes enable row level security;
create policy own_notes on public.notes to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
grant select, insert (text) on public.notes to authenticated;
alter publication supabase_realtime add table public.notes;

create function app.archive_old_notes() returns void language sql set search_path = ''
as $$ update public.notes set archived = true where created_at < app.now() - interval '7 days' $$;

select cron.schedule('archive', '0 2 * * *', 'select app.archive_old_notes()');
