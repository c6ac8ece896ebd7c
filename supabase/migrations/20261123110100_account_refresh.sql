-- Renewing an account's tokens: one worker at a time, over all workers, and both tokens in one write.
--
-- Many platforms kill the old refresh token with its first use. Two workers that renew at once would lose the
-- account, and so would one that stores late over what a later one has stored. So the right to renew is a lease with
-- a number: a store counts only under the latest number. Who comes while the lease holds waits, and who was refused
-- with tokens that have been replaced since needs no renewal at all.

create function filaviva.lock_account(p_account_id uuid) returns public.social_accounts
language plpgsql security definer
set search_path = ''
as $$
declare
  v_account public.social_accounts;
begin
  select * into v_account from public.social_accounts a where a.id = p_account_id for no key update;
  return v_account;
end
$$;
comment on function filaviva.lock_account(uuid) is 'An account, locked until the transaction ends; null when there is none. First of the locks of accounts.';

create function filaviva.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := filaviva.now();
  v_account constant public.social_accounts := filaviva.lock_account(p_account_id);
  v_tokens filaviva.account_tokens;
begin
  if p_lease_seconds is null or p_lease_seconds not between 1 and 600 then
    perform filaviva.fail(400, 'invalid_field', 'p_lease_seconds must be from 1 to 600.', 'Send how long the call to the platform may take, with a margin.');
  end if;
  if v_account.id is null then
    return jsonb_build_object('state', 'gone');
  end if;
  if v_account.status = 'reconnect' then
    return jsonb_build_object('state', 'reconnect');
  end if;
  select * into v_tokens from filaviva.account_tokens t where t.account_id = p_account_id;
  if v_tokens.token_version <> p_token_version then
    return jsonb_build_object('state', 'renewed', 'credentials', filaviva.credentials_of(v_account));
  end if;
  if v_tokens.refresh_until > v_now then
    return jsonb_build_object('state', 'busy', 'after_seconds', ceil(extract(epoch from v_tokens.refresh_until - v_now)));
  end if;
  update filaviva.account_tokens t set fence = t.fence + 1, refresh_until = v_now + make_interval(secs => p_lease_seconds)
  where t.account_id = p_account_id
  returning * into v_tokens;
  return jsonb_build_object('state', 'yours', 'fence', v_tokens.fence, 'credentials', filaviva.credentials_of(v_account));
end
$$;
comment on function filaviva.begin_refresh(uuid, bigint, int) is
  'Asks for the right to renew an account''s tokens, of which the caller knows a version. Answers {state}: yours (with fence and credentials), busy (with after_seconds, at most), renewed (with the newer credentials), reconnect, gone.';

create function filaviva.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamptz) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_account public.social_accounts := filaviva.lock_account(p_account_id);
begin
  if coalesce(p_secrets ->> 'access_token', '') = '' then
    perform filaviva.fail(400, 'invalid_field', 'p_secrets needs an access_token.', 'Send {"access_token": …} and whatever the platform gave with it.');
  end if;
  if v_account.status is distinct from 'connected'
    or not exists (select from filaviva.account_tokens t where t.account_id = p_account_id and t.fence = p_fence) then
    return null;
  end if;
  update public.social_accounts a set token_expires_at = p_expires_at, version = a.version + 1, updated_at = filaviva.now()
  where a.id = p_account_id
  returning * into v_account;
  perform filaviva.keep_tokens(p_account_id,
    coalesce(filaviva.secret('social_account:' || p_account_id)::jsonb, '{}') || jsonb_strip_nulls(p_secrets));
  return filaviva.credentials_of(v_account);
end
$$;
comment on function filaviva.store_refreshed(uuid, bigint, jsonb, timestamptz) is
  'Stores renewed tokens, all in one write, if the fence is still the latest; what p_secrets leaves out stays as it was. Answers the new credentials, or null when the right was lost: then nothing was stored.';

create function filaviva.abandon_refresh(p_account_id uuid, p_fence bigint) returns boolean
language plpgsql security definer
set search_path = ''
as $$
begin
  update filaviva.account_tokens t set refresh_until = null
  where t.account_id = p_account_id and t.fence = p_fence and t.refresh_until is not null;
  return found;
end
$$;
comment on function filaviva.abandon_refresh(uuid, bigint) is 'Gives the right to renew back, so that the next one need not wait for its end.';

create function filaviva.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_account constant public.social_accounts := filaviva.lock_account(p_account_id);
begin
  if coalesce(p_reason, '') !~ '^[a-z_]{1,63}$' then
    perform filaviva.fail(400, 'invalid_field', 'p_reason must be a code: lower-case letters and underscores.', 'Send a code such as token_refused; the words of a platform may hold a secret.');
  end if;
  if v_account.status is distinct from 'connected'
    or not exists (select from filaviva.account_tokens t where t.account_id = p_account_id and t.token_version = p_token_version) then
    return false;
  end if;
  update public.social_accounts a
  set status = 'reconnect', reconnect_reason = p_reason, version = a.version + 1, updated_at = filaviva.now()
  where a.id = p_account_id;
  update filaviva.account_tokens t set fence = t.fence + 1, refresh_until = null where t.account_id = p_account_id;
  return true;
end
$$;
comment on function filaviva.mark_reconnect(uuid, bigint, text) is
  'Says that the platform accepts an account''s tokens no longer. Answers false, and changes nothing, when they have been replaced since or it was said already.';

create function public.begin_refresh(p_account_id uuid, p_token_version bigint, p_lease_seconds int) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.begin_refresh(p_account_id, p_token_version, p_lease_seconds) $$;
comment on function public.begin_refresh(uuid, bigint, int) is 'The right to renew an account''s tokens, for one worker at a time.';

create function public.store_refreshed(p_account_id uuid, p_fence bigint, p_secrets jsonb, p_expires_at timestamptz default null) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.store_refreshed(p_account_id, p_fence, p_secrets, p_expires_at) $$;
comment on function public.store_refreshed(uuid, bigint, jsonb, timestamptz) is 'Stores renewed tokens under the latest fence; null when it is not.';

create function public.abandon_refresh(p_account_id uuid, p_fence bigint) returns boolean
language sql security invoker
set search_path = ''
as $$ select filaviva.abandon_refresh(p_account_id, p_fence) $$;
comment on function public.abandon_refresh(uuid, bigint) is 'Gives the right to renew an account''s tokens back.';

create function public.mark_reconnect(p_account_id uuid, p_token_version bigint, p_reason text) returns boolean
language sql security invoker
set search_path = ''
as $$ select filaviva.mark_reconnect(p_account_id, p_token_version, p_reason) $$;
comment on function public.mark_reconnect(uuid, bigint, text) is 'Says that an account must be connected again; its owner sees it at once.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function
  public.begin_refresh(uuid, bigint, int), public.store_refreshed(uuid, bigint, jsonb, timestamptz),
  public.abandon_refresh(uuid, bigint), public.mark_reconnect(uuid, bigint, text)
  from public, anon, authenticated, service_role;
grant execute on function
  filaviva.begin_refresh(uuid, bigint, int), filaviva.store_refreshed(uuid, bigint, jsonb, timestamptz),
  filaviva.abandon_refresh(uuid, bigint), filaviva.mark_reconnect(uuid, bigint, text)
  to service_role;
grant execute on function
  public.begin_refresh(uuid, bigint, int), public.store_refreshed(uuid, bigint, jsonb, timestamptz),
  public.abandon_refresh(uuid, bigint), public.mark_reconnect(uuid, bigint, text)
  to service_role;
