-- Rate limits as they are set, asked for, and counted for the API's own calls.

-- Operators -------------------------------------------------------------------------------------

create function filaviva.set_rate_limiter(p_name text, p_max_hits int, p_window_seconds int) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  if coalesce(p_name, '') !~ '^[a-z][a-z0-9_]{0,46}$' or coalesce(p_max_hits, 0) < 1 or coalesce(p_window_seconds, 0) not between 1 and 86400 then
    perform filaviva.fail(400, 'invalid_field',
      'p_name must be lower case letters, digits and _; p_max_hits at least 1; p_window_seconds from 1 to 86,400.', 'Correct the field and send the call again.');
  end if;
  insert into public.rate_limiters (name, max_hits, window_seconds) values (p_name, p_max_hits, p_window_seconds)
  on conflict (name) do update set max_hits = excluded.max_hits, window_seconds = excluded.window_seconds,
    updated_at = filaviva.now(), version = rate_limiters.version + 1;
  perform filaviva.wake_parked(p_name);
end
$$;
comment on function filaviva.set_rate_limiter(text, int, int) is 'Makes a limit or changes one that exists; what waits for it looks again at once.';

create function filaviva.limit_queue(p_queue text, p_limiter text, p_key text) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  if not exists (select from public.rate_limiters l where l.name = p_limiter) then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  if p_key is null then
    delete from public.queue_limits q where q.queue = p_queue and q.limiter = p_limiter;
  else
    begin
      insert into public.queue_limits (queue, limiter, key) values (p_queue, p_limiter, p_key) on conflict do nothing;
    exception when check_violation then
      perform filaviva.fail(400, 'invalid_field', 'p_key must be queue, kind, user_id, company_id, instance_id, group_key, or a path such as payload.platform.',
        'Say where in a job the key stands.');
    end;
  end if;
  perform filaviva.wake_parked(p_limiter);
end
$$;
comment on function filaviva.limit_queue(text, text, text) is 'Puts the jobs of a queue under a limit, counted by the key that p_key names in each job; a null key takes the queue out from under it.';

create function filaviva.wake_parked(p_limiter text) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  perform filaviva.lock_keys(array_agg(k.limiter), array_agg(k.key)) from filaviva.parked_keys k where k.limiter = p_limiter;
  update filaviva.parked_keys k set next_at = filaviva.now() where k.limiter = p_limiter;
  perform filaviva.mark_for_kick(array(select distinct k.queue from filaviva.parked_keys k where k.limiter = p_limiter));
end
$$;

-- Status ----------------------------------------------------------------------------------------

create function filaviva.rate_limit_status(p_limiter text, p_key text) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_limiter public.rate_limiters;
  v_left record;
begin
  if not filaviva.is_operator() and p_key is distinct from filaviva.caller_id()::text
    and not exists (select from public.jobs j where j.user_id = filaviva.caller_id() and j.instance_id = p_key)
  then
    perform filaviva.fail(403, 'not_your_key', 'The key is not yours.', 'Ask with your own user id, or an instance that one of your jobs names.');
  end if;
  select * into v_limiter from public.rate_limiters l where l.name = p_limiter;
  if not found then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  select * into v_left from filaviva.allowance(v_limiter, filaviva.fold_key(p_key), v_now);
  return jsonb_build_object(
    'allowed', v_left.remaining > 0, 'remaining', greatest(v_left.remaining, 0), 'limit', v_limiter.max_hits, 'window_seconds', v_limiter.window_seconds,
    'retry_after', case when v_left.remaining > 0 then 0 else ceil(extract(epoch from v_left.next_at - v_now))::int end
  );
end
$$;
comment on function filaviva.rate_limit_status(text, text) is
  'How a key stands under a limit: {allowed, remaining, limit, window_seconds, retry_after}, the last in seconds and 0 when allowed. For operators, and users about themselves.';

-- The API's own limit ---------------------------------------------------------------------------

insert into public.rate_limiters (name, max_hits, window_seconds) values ('api', 1000, 60);

create function filaviva.count_api_call(p_user_id uuid) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_limiter public.rate_limiters;
  v_left record;
begin
  select * into v_limiter from public.rate_limiters l where l.name = 'api';
  if not found then
    return;
  end if;
  select * into v_left from filaviva.allowance(v_limiter, p_user_id::text, v_now);
  if v_left.remaining < greatest(v_limiter.max_hits / 5, 100) then
    -- Near the limit the calls of one user are counted one after the other, so that none slips by.
    perform pg_advisory_xact_lock(hashtext('filaviva.api'), hashtext(p_user_id::text));
    select * into v_left from filaviva.allowance(v_limiter, p_user_id::text, v_now);
  end if;
  if v_left.remaining <= 0 then
    perform filaviva.fail(429, 'too_many_requests', format('More than %s calls in %s seconds.', v_limiter.max_hits, v_limiter.window_seconds),
      format('Try again in %s seconds.', greatest(1, ceil(extract(epoch from v_left.next_at - v_now))::int)));
  end if;
  insert into filaviva.rate_limit_hits (limiter, key, at) values ('api', p_user_id::text, v_now);
end
$$;
comment on function filaviva.count_api_call(uuid) is 'Counts an enqueue call of a user under the limit ''api'', in the call''s own transaction; PT429 above it.';

create function filaviva.prune_hits(p_now timestamptz) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_pruned int;
begin
  -- A hit that a settle is giving back is skipped: that settle may be waiting for a key that we hold.
  delete from filaviva.rate_limit_hits d using (
    select h.ctid from filaviva.rate_limit_hits h join public.rate_limiters l on l.name = h.limiter
    where h.at < p_now - make_interval(secs => l.window_seconds) - filaviva.start_slack()
    for update of h skip locked
  ) o where d.ctid = o.ctid;
  get diagnostics v_pruned = row_count;
  return v_pruned;
end
$$;
comment on function filaviva.prune_hits(timestamptz) is 'Forgets hits that no longer count; answers how many.';

create function public.set_rate_limiter(p_name text, p_max_hits int, p_window_seconds int) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.set_rate_limiter(p_name, p_max_hits, p_window_seconds) $$;

create function public.limit_queue(p_queue text, p_limiter text, p_key text) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.limit_queue(p_queue, p_limiter, p_key) $$;

create function public.rate_limit_status(p_limiter text, p_key text) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.rate_limit_status(p_limiter, p_key) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.set_rate_limiter(text, int, int), public.limit_queue(text, text, text), public.rate_limit_status(text, text)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.set_rate_limiter(text, int, int), filaviva.limit_queue(text, text, text),
  filaviva.rate_limit_status(text, text) to authenticated, service_role;
grant execute on function public.set_rate_limiter(text, int, int), public.limit_queue(text, text, text),
  public.rate_limit_status(text, text) to authenticated, service_role;
