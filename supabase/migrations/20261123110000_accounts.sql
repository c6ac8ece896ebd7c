-- Accounts: what else is known of a connected account, when its token ends, and how it is disconnected.
-- Only what anybody may know stands in the table, which its owner reads and which is streamed to them. Tokens stay
-- in the vault, and leave it through two functions that the service role alone may call.

create function filaviva.holds_secret(p_facts jsonb) returns boolean
language sql immutable
set search_path = ''
as $$
  select jsonb_path_exists(p_facts, '$.** ? (exists(@.access_token) || exists(@.refresh_token) || exists(@.id_token) || exists(@.user_token)
    || exists(@.token) || exists(@.client_secret) || exists(@.secret) || exists(@.password) || exists(@.code))')
$$;
comment on function filaviva.holds_secret(jsonb) is 'Whether something in it, however deep, has the name of a secret.';

alter table public.social_accounts
  add column kind text not null default '',
  add column extra jsonb not null default '{}' constraint extra_is_an_object check (jsonb_typeof(extra) = 'object')
    constraint extra_holds_no_secret check (not filaviva.holds_secret(extra)),
  add column scopes jsonb not null default '[]' constraint scopes_are_a_list check (jsonb_typeof(scopes) = 'array'),
  add column token_expires_at timestamptz,
  add column reconnect_reason text constraint only_an_account_to_reconnect_says_why
    check (reconnect_reason is null or (status = 'reconnect' and reconnect_reason ~ '^[a-z_]{1,63}$'));
comment on column public.social_accounts.kind is 'Which of the platform''s sorts of account it is, such as LinkedIn''s person or organization; empty where there is one sort.';
comment on column public.social_accounts.extra is 'Further facts from the platform, none of them secret: the id of a page, the urn of an organization.';
comment on column public.social_accounts.scopes is 'The rights that the user granted, by the platform''s names.';
comment on column public.social_accounts.token_expires_at is 'When the access token ends; null where that is not known. A worker renews it in time where the platform allows it.';
comment on column public.social_accounts.reconnect_reason is 'Why the account must be connected again, as a code of docs/accounts.md.';

create table filaviva.account_tokens (
  account_id uuid primary key references public.social_accounts (id) on delete cascade,
  token_version bigint not null default 1,
  fence bigint not null default 0,
  refresh_until timestamptz
);
comment on table filaviva.account_tokens is 'Of each account: how often its tokens were stored, and who may renew them now. The tokens are in the vault.';
comment on column filaviva.account_tokens.token_version is 'Rises whenever tokens are stored. Who was refused with an older version needs only to read again.';
comment on column filaviva.account_tokens.fence is 'The number of the latest right to renew; an older one stores nothing.';
comment on column filaviva.account_tokens.refresh_until is 'Until when that right keeps others waiting; null when nobody renews.';
alter table filaviva.account_tokens enable row level security;
insert into filaviva.account_tokens (account_id) select a.id from public.social_accounts a;

-- Connecting, and reading the tokens ------------------------------------------------------------

create function filaviva.credentials_of(p_account public.social_accounts) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select case when p_account.status = 'connected' then coalesce(filaviva.secret('social_account:' || p_account.id)::jsonb, '{}') else '{}' end
    || jsonb_build_object(
      'account_id', p_account.id, 'external_id', p_account.external_id, 'display_name', p_account.display_name, 'status', p_account.status,
      'kind', p_account.kind, 'extra', p_account.extra, 'expires_at', p_account.token_expires_at,
      'token_version', (select t.token_version from filaviva.account_tokens t where t.account_id = p_account.id))
$$;
comment on function filaviva.credentials_of(public.social_accounts) is 'An account as the worker takes it; with its tokens unless it must be connected again.';

create or replace function filaviva.account_credentials(p_user_id uuid, p_platform text) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select filaviva.credentials_of(a) from public.social_accounts a where a.user_id = p_user_id and a.platform = p_platform
$$;
comment on function filaviva.account_credentials(uuid, text) is
  'An account with its tokens, for the worker at the moment of the call; without them when its status is reconnect, null when there is none.';

create function filaviva.keep_tokens(p_account_id uuid, p_secrets jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.put_secret('social_account:' || p_account_id, jsonb_strip_nulls(p_secrets)::text);
  insert into filaviva.account_tokens as t (account_id) values (p_account_id)
  on conflict (account_id) do update set token_version = t.token_version + 1, fence = t.fence + 1, refresh_until = null;
end
$$;
comment on function filaviva.keep_tokens(uuid, jsonb) is
  'Stores all of an account''s tokens in one write, and ends every right to renew the earlier ones. The account''s row must be locked.';

-- The five parameters that there were are a prefix of the new ones: kept beside them, every call with five would be ambiguous.
drop function public.connect_account(uuid, text, text, text, jsonb);
drop function filaviva.connect_account(uuid, text, text, text, jsonb);

create function filaviva.connect_account(
  p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb,
  p_kind text, p_extra jsonb, p_scopes jsonb, p_expires_at timestamptz
) returns uuid
language plpgsql security definer
set search_path = ''
as $$
declare
  v_id uuid;
begin
  if coalesce(p_secrets ->> 'access_token', '') = '' then
    perform filaviva.fail(400, 'invalid_field', 'p_secrets needs an access_token.', 'Send {"access_token": …} and whatever the platform gave with it.');
  end if;
  if filaviva.holds_secret(p_extra) then  -- looked at before the insert, whose refusal would quote the row
    perform filaviva.fail(400, 'invalid_field', 'p_extra holds the name of a secret.', 'Its owner reads p_extra; what is secret goes into p_secrets.');
  end if;
  insert into public.social_accounts (user_id, platform, external_id, display_name, kind, extra, scopes, token_expires_at)
  values (p_user_id, p_platform, p_external_id, p_display_name, coalesce(p_kind, ''), coalesce(p_extra, '{}'), coalesce(p_scopes, '[]'), p_expires_at)
  on conflict on constraint a_user_has_one_account_a_platform do update set
    external_id = excluded.external_id, display_name = excluded.display_name, status = 'connected', reconnect_reason = null,
    kind = excluded.kind, extra = excluded.extra, scopes = excluded.scopes, token_expires_at = excluded.token_expires_at,
    version = social_accounts.version + 1, updated_at = filaviva.now()
  returning id into v_id;
  perform filaviva.keep_tokens(v_id, p_secrets);
  return v_id;
end
$$;
comment on function filaviva.connect_account(uuid, text, text, text, jsonb, text, jsonb, jsonb, timestamptz) is
  'Stores a user''s account on a platform with its tokens, over an earlier one; for the service role, after the platform''s own sign-in.';

create function public.connect_account(
  p_user_id uuid, p_platform text, p_external_id text, p_display_name text, p_secrets jsonb,
  p_kind text default '', p_extra jsonb default '{}', p_scopes jsonb default '[]', p_expires_at timestamptz default null
) returns uuid
language sql security invoker
set search_path = ''
as $$
  select filaviva.connect_account(p_user_id, p_platform, p_external_id, p_display_name, p_secrets, p_kind, p_extra, p_scopes, p_expires_at)
$$;
comment on function public.connect_account(uuid, text, text, text, jsonb, text, jsonb, jsonb, timestamptz) is
  'Stores a user''s account with its tokens; for the service role. p_secrets: {access_token, refresh_token?, user_token?}; p_extra holds nothing secret. Answers the account''s id.';

-- Disconnecting ---------------------------------------------------------------------------------

create function filaviva.disconnect_account(p_account_id uuid) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_user_id constant uuid := filaviva.caller_id();
begin
  delete from public.social_accounts a where a.id = p_account_id and (v_user_id is null or a.user_id = v_user_id);
  if not found then
    perform filaviva.fail(404, 'unknown_account', 'You have no such account.', 'Read social_accounts: it lists those that are connected.');
  end if;
end
$$;
comment on function filaviva.disconnect_account(uuid) is 'Forgets an account of the caller''s, and its tokens with it. It does not tell the platform.';

create function public.disconnect_account(p_account_id uuid) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.disconnect_account(p_account_id) $$;
comment on function public.disconnect_account(uuid) is
  'Forgets an account of the caller''s, and its tokens with it. DELETE /api/accounts/{id} does the same and revokes the tokens at the platform first.';

-- Access ----------------------------------------------------------------------------------------

alter publication supabase_realtime add table public.social_accounts;

revoke execute on all functions in schema filaviva from public;
revoke execute on function
  public.connect_account(uuid, text, text, text, jsonb, text, jsonb, jsonb, timestamptz), public.disconnect_account(uuid)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.connect_account(uuid, text, text, text, jsonb, text, jsonb, jsonb, timestamptz) to service_role;
grant execute on function public.connect_account(uuid, text, text, text, jsonb, text, jsonb, jsonb, timestamptz) to service_role;
grant execute on function filaviva.disconnect_account(uuid) to authenticated, service_role;
grant execute on function public.disconnect_account(uuid) to authenticated, service_role;
