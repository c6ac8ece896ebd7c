-- A user's own rate limits in one answer: the API's, those on users, and those on the accounts that they have connected.
-- Users do not read which queue is under which limit; this says what of it is about them.

create function filaviva.my_rate_limits() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_me constant uuid := filaviva.caller_id();
begin
  if v_me is null then
    perform filaviva.fail(401, 'not_signed_in', 'Whose limits? Nobody is signed in.', 'Sign in, or ask for one key with rate_limit_status().');
  end if;
  return (
    select coalesce(jsonb_agg(filaviva.rate_limit_status(m.limiter, m.key) || jsonb_build_object('limiter', m.limiter, 'key', m.key) order by m.limiter, m.key), '[]')
    from (
      select 'api' as limiter, v_me::text as key where exists (select from public.rate_limiters l where l.name = 'api')
      union
      select q.limiter, v_me::text from public.queue_limits q where q.key = 'user_id'
      union
      -- Of the limits on accounts, those of the platforms that the user has connected.
      select q.limiter, v_me || ':' || case split_part(q.key, '=', 2) when '' then a.platform else split_part(q.key, '=', 2) end
      from public.queue_limits q join public.social_accounts a on a.user_id = v_me
      where q.key = 'user_id+payload.platform' or q.key = 'user_id+payload.platform=' || a.platform
        or (q.key like 'user\_id+payload.option=%' and split_part(split_part(q.key, '=', 2), '_', 1) = a.platform)
    ) m
  );
end
$$;
comment on function filaviva.my_rate_limits() is
  'How the signed-in user stands under each limit on users and on their accounts: [{limiter, key, allowed, remaining, limit, window_seconds, retry_after}].';

create function public.my_rate_limits() returns jsonb
language sql stable security invoker
set search_path = ''
as $$ select filaviva.my_rate_limits() $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.my_rate_limits() from public, anon, authenticated, service_role;
grant execute on function filaviva.my_rate_limits(), public.my_rate_limits() to authenticated;
