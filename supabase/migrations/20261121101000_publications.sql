-- Publications: the queue and kind of posts to social networks, and the accounts they go to.
-- An account's tokens live in the vault; no client role, no log and no error ever sees them.

select filaviva.create_queue('publication_queue', '{
  "concurrency": 5, "max_attempts": 3, "timeout_seconds": 300, "lease_seconds": 30, "stall_seconds": 1800, "on_stall": "fail",
  "backoff_base_seconds": 2, "backoff_factor": 2, "backoff_max_seconds": 300
}');
select filaviva.register_kind('publish_post', '{"queue": "publication_queue", "user_may_enqueue": true}');

create table public.social_accounts (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  platform text not null constraint platform_is_known
    check (platform in ('tiktok', 'facebook', 'instagram', 'youtube', 'threads', 'x', 'linkedin')),
  external_id text not null,
  display_name text not null,
  status text not null default 'connected' constraint status_is_known check (status in ('connected', 'reconnect')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version bigint not null default 1,
  constraint a_user_has_one_account_a_platform unique (user_id, platform)
);
comment on table public.social_accounts is 'A user''s connected accounts. Their tokens are in the vault under social_account:<id>.';
comment on column public.social_accounts.status is 'reconnect: the platform no longer accepts the tokens; the user must connect again.';

create function filaviva.forget_account_secret() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  delete from vault.secrets where name = 'social_account:' || old.id;
  return null;
end
$$;
create trigger forget_account_secret after delete on public.social_accounts
  for each row execute function filaviva.forget_account_secret();

create function filaviva.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb) returns uuid
language plpgsql security definer
set search_path = ''
as $$
declare
  v_id uuid;
begin
  if coalesce(p_secrets ->> 'access_token', '') = '' then
    perform filaviva.fail(400, 'invalid_field', 'p_secrets needs an access_token.', 'Send {"access_token": …} and whatever the platform gave with it.');
  end if;
  insert into public.social_accounts (user_id, platform, external_id, display_name)
  values (p_user_id, p_platform, p_external_id, p_display_name)
  on conflict on constraint a_user_has_one_account_a_platform do update set
    external_id = excluded.external_id, display_name = excluded.display_name, status = 'connected',
    version = social_accounts.version + 1, updated_at = filaviva.now()
  returning id into v_id;
  perform filaviva.put_secret('social_account:' || v_id, p_secrets::text);
  return v_id;
end
$$;
comment on function filaviva.connect_account(uuid, text, text, text, jsonb) is
  'Stores a user''s account on a platform with its tokens, over an earlier one; for the service role, after the platform''s own sign-in.';

create function filaviva.account_credentials(p_user_id uuid, p_platform text) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('account_id', a.id, 'external_id', a.external_id, 'display_name', a.display_name)
    || filaviva.secret('social_account:' || a.id)::jsonb
  from public.social_accounts a
  where a.user_id = p_user_id and a.platform = p_platform and a.status = 'connected'
$$;
comment on function filaviva.account_credentials(uuid, text) is
  'An account with its tokens, for the worker at the moment of the call; null when none is connected.';

create function public.connect_account(p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb) returns uuid
language sql security invoker
set search_path = ''
as $$ select filaviva.connect_account(p_user_id, p_platform, p_external_id, p_display_name, p_secrets) $$;

create function public.account_credentials(p_user_id uuid, p_platform text) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.account_credentials(p_user_id, p_platform) $$;

-- Access ----------------------------------------------------------------------------------------

alter table public.social_accounts enable row level security;
create policy "owners read their accounts" on public.social_accounts for select to authenticated
  using ((select auth.uid()) = user_id);
revoke all on public.social_accounts from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.social_accounts to authenticated, service_role;

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.connect_account(uuid, text, text, text, jsonb), public.account_credentials(uuid, text)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.connect_account(uuid, text, text, text, jsonb), filaviva.account_credentials(uuid, text) to service_role;
grant execute on function public.connect_account(uuid, text, text, text, jsonb), public.account_credentials(uuid, text) to service_role;
