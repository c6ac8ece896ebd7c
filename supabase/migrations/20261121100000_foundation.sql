-- The ground that everything stands on: the extensions, a private schema for the engine's code,
-- the clock, who is calling, and how an error is raised.
-- Schema `filaviva` is not exposed by the API; thin wrappers in `public` are.

-- Hosted projects bring some of these along, others not yet.
create extension if not exists pgmq;
create extension if not exists pg_cron;
create extension if not exists pg_net with schema extensions;
create extension if not exists supabase_vault;

create schema filaviva;
comment on schema filaviva is 'The engine of Fila Viva. Private: not exposed by the API; the wrappers in public are its surface.';

-- Time ------------------------------------------------------------------------------------------

create table filaviva.clock_shift (
  only_row boolean primary key default true constraint there_is_one_clock check (only_row),
  shift interval not null
);
comment on table filaviva.clock_shift is 'Empty in production. A test puts one row here to move the engine''s clock for every session.';
alter table filaviva.clock_shift enable row level security;

create function filaviva.now() returns timestamptz
language sql volatile
set search_path = ''
as $$
  select clock_timestamp() + coalesce((select c.shift from filaviva.clock_shift c), interval '0')
$$;
comment on function filaviva.now() is
  'The engine''s time: the wall clock as pgmq reads it, not the start of the transaction.';

-- Who is calling --------------------------------------------------------------------------------

create function filaviva.is_trusted() returns boolean
language sql stable
set search_path = ''
as $$
  select case current_setting('role')
    when 'service_role' then true
    when 'postgres' then true
    when 'none' then session_user in ('postgres', 'supabase_admin')
    else false
  end
$$;
comment on function filaviva.is_trusted() is
  'True for the service role and for direct SQL as postgres. Looks at the role that was set, since inside definer code current_user is the definer.';

create function filaviva.is_operator() returns boolean
language sql stable
set search_path = ''
as $$
  select filaviva.is_trusted()
    or coalesce(auth.jwt() -> 'app_metadata' ->> 'filaviva_role' = 'operator', false)
$$;
comment on function filaviva.is_operator() is
  'True for whoever may see and change every owner''s jobs: the service role, direct SQL as postgres, or a user whose app_metadata.filaviva_role is operator.';

-- Errors ----------------------------------------------------------------------------------------

create function filaviva.fail(p_status int, p_code text, p_message text, p_hint text) returns void
language plpgsql
set search_path = ''
as $$
begin
  raise exception using errcode = 'PT' || p_status, message = p_message, detail = p_code, hint = p_hint;
end
$$;
comment on function filaviva.fail(int, text, text, text) is
  'Raises PTnnn, which the API turns into HTTP status nnn; the machine code travels in DETAIL, the remedy in HINT. docs/errors.md lists every code.';

create function filaviva.caller_id() returns uuid
language plpgsql stable
set search_path = ''
as $$
begin
  if filaviva.is_trusted() then
    return null;
  end if;
  if auth.uid() is null then
    perform filaviva.fail(401, 'not_signed_in', 'This call needs a signed-in user.',
      'Send the user''s access token as Authorization: Bearer <token>.');
  end if;
  return auth.uid();
end
$$;
comment on function filaviva.caller_id() is
  'The signed-in user, or null for a trusted caller, who may act for anyone. Raises PT401 for anybody else.';

-- Access ----------------------------------------------------------------------------------------

revoke all on schema filaviva from public;
grant usage on schema filaviva to authenticated, service_role;
revoke execute on all functions in schema filaviva from public;
grant execute on function filaviva.is_trusted(), filaviva.is_operator(), filaviva.fail(int, text, text, text) to authenticated, service_role;
