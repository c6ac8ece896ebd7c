-- Sign-ins under way: what must still be known when a user comes back from a platform's page.
--
-- The platform sends the browser back with the state that it was given. Kept here are digests of that state and of a
-- cookie of the browser that began: a state that was read somewhere opens nothing, and one that somebody else's
-- browser brings is refused, so that nobody can be led to connect their account for another user.

create table filaviva.account_connections (
  state_hash text primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  platform text not null,
  browser_hash text not null,
  verifier text not null,
  wanted text,
  expires_at timestamptz not null
);
create index account_connections_by_user on filaviva.account_connections (user_id, expires_at);
create index account_connections_by_end on filaviva.account_connections (expires_at);
comment on table filaviva.account_connections is 'Sign-ins at platforms that users have begun and not finished; each is taken once, within ten minutes.';
comment on column filaviva.account_connections.verifier is 'The PKCE verifier, which the platform asks for with the code.';
comment on column filaviva.account_connections.wanted is 'The page, channel or organization that the user wants, by its id; null when any will do.';
alter table filaviva.account_connections enable row level security;

create function filaviva.begin_connection(
  p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text
) returns timestamptz
language plpgsql security definer
set search_path = ''
as $$
declare
  c_open_for_a_user constant int := 20;
  v_now constant timestamptz := filaviva.now();
  v_expires_at constant timestamptz := v_now + interval '10 minutes';
begin
  if length(p_state_hash) <> 64 or length(p_browser_hash) <> 64 then
    perform filaviva.fail(400, 'invalid_field', 'p_state_hash and p_browser_hash must be SHA-256 digests in hex.', 'Send digests, never the values themselves.');
  end if;
  delete from filaviva.account_connections c
  where c.state_hash in (select o.state_hash from filaviva.account_connections o where o.expires_at <= v_now limit 100 for update skip locked);
  delete from filaviva.account_connections c
  where c.state_hash in (
    select o.state_hash from filaviva.account_connections o where o.user_id = p_user_id
    order by o.expires_at desc offset c_open_for_a_user - 1);
  insert into filaviva.account_connections (state_hash, user_id, platform, browser_hash, verifier, wanted, expires_at)
  values (p_state_hash, p_user_id, p_platform, p_browser_hash, p_verifier, p_wanted, v_expires_at);
  return v_expires_at;
end
$$;
comment on function filaviva.begin_connection(uuid, text, text, text, text, text) is
  'Keeps a sign-in that a user begins at a platform; answers until when. Of one user''s open ones it keeps the latest twenty.';

create function filaviva.take_connection(p_platform text, p_state_hash text, p_browser_hash text) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_taken filaviva.account_connections;
begin
  delete from filaviva.account_connections c where c.state_hash = p_state_hash returning * into v_taken;
  if v_taken.platform = p_platform and v_taken.browser_hash = p_browser_hash and v_taken.expires_at > filaviva.now() then
    return jsonb_build_object('user_id', v_taken.user_id, 'verifier', v_taken.verifier, 'wanted', v_taken.wanted);
  end if;
  return null;
end
$$;
comment on function filaviva.take_connection(text, text, text) is
  'The sign-in with this state, for the browser that began it, on its platform and in its time; else null. Asked for once, it is gone either way.';

create function public.begin_connection(
  p_user_id uuid, p_platform text, p_state_hash text, p_browser_hash text, p_verifier text, p_wanted text default null
) returns timestamptz
language sql security invoker
set search_path = ''
as $$ select filaviva.begin_connection(p_user_id, p_platform, p_state_hash, p_browser_hash, p_verifier, p_wanted) $$;
comment on function public.begin_connection(uuid, text, text, text, text, text) is 'Keeps a sign-in that a user begins at a platform, for ten minutes; for the service role.';

create function public.take_connection(p_platform text, p_state_hash text, p_browser_hash text) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.take_connection(p_platform, p_state_hash, p_browser_hash) $$;
comment on function public.take_connection(text, text, text) is 'Takes a sign-in that was begun, once: {user_id, verifier, wanted}, or null; for the service role.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.begin_connection(uuid, text, text, text, text, text), public.take_connection(text, text, text)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.begin_connection(uuid, text, text, text, text, text), filaviva.take_connection(text, text, text) to service_role;
grant execute on function public.begin_connection(uuid, text, text, text, text, text), public.take_connection(text, text, text) to service_role;
