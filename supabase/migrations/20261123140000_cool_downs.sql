-- Cool-downs: what the other side has refused until a time stands with the limits, so that every job of the same key
-- waits for it, without being called and without spending an attempt. A limit can join several paths into one key
-- (an account is a user and a platform), and can count jobs instead of claims: a post is one post, however often its
-- job was claimed to see how far it has come.

-- Keys and counts -------------------------------------------------------------------------------

create function filaviva.is_limit_key(p_key text) returns boolean
language plpgsql immutable
set search_path = ''
as $$
declare
  c_part constant text := '(queue|kind|user_id|company_id|instance_id|group_key|(payload|metadata)([.][A-Za-z0-9_-]+)+)(=[A-Za-z0-9_-]+)?';
begin
  return length(p_key) <= 500 and p_key ~ ('^' || c_part || '([+]' || c_part || ')*$');
end
$$;
comment on function filaviva.is_limit_key(text) is 'Whether a text says where in a job the key of a limit stands.';

alter table public.queue_limits drop constraint key_is_a_path;
alter table public.queue_limits
  add constraint key_is_paths check (filaviva.is_limit_key(key)),
  add column counts text not null default 'claims' constraint counts_is_known check (counts in ('claims', 'jobs'));
comment on column public.queue_limits.key is
  'A path such as instance_id or payload.platform; several joined with +; path=value holds only jobs that have the value there.';
comment on column public.queue_limits.counts is
  'claims: each claim is a hit. jobs: a job is one hit in a window however often it is claimed, and is not under the limit any more past its point of no return.';

create or replace function filaviva.limit_key(p_job public.jobs, p_path text) returns text
language plpgsql immutable
set search_path = ''
as $$
declare
  v_part text;
  v_path text;
  v_value text;
  v_key text;
begin
  foreach v_part in array string_to_array(p_path, '+') loop
    v_path := split_part(v_part, '=', 1);
    v_value := case v_path
      when 'queue' then p_job.queue when 'kind' then p_job.kind when 'user_id' then p_job.user_id::text
      when 'company_id' then p_job.company_id::text when 'instance_id' then p_job.instance_id when 'group_key' then p_job.group_key
      else case split_part(v_path, '.', 1) when 'payload' then p_job.payload else p_job.metadata end
        #>> (string_to_array(v_path, '.'))[2:]
    end;
    if v_value is null or (v_part <> v_path and v_value <> split_part(v_part, '=', 2)) then
      return null;
    end if;
    v_key := concat_ws(':', v_key, v_value);
  end loop;
  return filaviva.fold_key(v_key);
end
$$;
comment on function filaviva.limit_key(public.jobs, text) is
  'What a job counts as under a limit, the values with : between them; null when the limit does not concern it.';

-- Cool-downs ------------------------------------------------------------------------------------

create table filaviva.cool_downs (
  limiter text not null references public.rate_limiters (name) on delete cascade,
  key text not null,
  until timestamptz not null,
  reason text not null default '',
  primary key (limiter, key)
);
create index cool_downs_by_time on filaviva.cool_downs (until);
comment on table filaviva.cool_downs is 'Keys of limits that nothing is admitted under before a time, since the other side said so.';
alter table filaviva.cool_downs enable row level security;

create function filaviva.cools_until(p_limiter text, p_key text, p_now timestamptz) returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
  return (select c.until from filaviva.cool_downs c where c.limiter = p_limiter and c.key = p_key and c.until > p_now);
end
$$;
comment on function filaviva.cools_until(text, text, timestamptz) is 'Until when a key cools down; null when it does not.';

create or replace function filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamptz, out remaining int, out next_at timestamptz)
language plpgsql stable
set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  c_recovers_for constant interval := '20 seconds';
  c_step constant interval := '2 seconds';
  v_counts_for constant interval := make_interval(secs => p_limiter.window_seconds) + filaviva.start_slack();
  v_hits timestamptz[] := array(
    select h.at from filaviva.rate_limit_hits h
    where h.limiter = p_limiter.name and h.key = p_key and h.at > p_now - v_counts_for
    order by h.at desc limit p_limiter.max_hits
  );
  v_until timestamptz := (select c.until from filaviva.cool_downs c where c.limiter = p_limiter.name and c.key = p_key);
  v_steps int;
  v_room int;
begin
  remaining := p_limiter.max_hits - cardinality(v_hits);
  -- The oldest hit that counts makes room for the next one when it stops counting.
  next_at := v_hits[cardinality(v_hits)] + v_counts_for;
  if v_until > p_now then
    remaining := least(remaining, 0);
    next_at := greatest(next_at, v_until);
  elsif v_until > p_now - c_recovers_for then
    -- The first goes alone, and the others step by step: should the other side refuse again, it has been asked little.
    v_steps := 1 + floor(extract(epoch from p_now - v_until) / extract(epoch from c_step));
    v_room := v_steps - (select count(*) from unnest(v_hits) h where h >= v_until);
    if v_room < remaining then
      remaining := v_room;
      next_at := v_until + v_steps * c_step;
    end if;
  end if;
end
$$;
comment on function filaviva.allowance(public.rate_limiters, text, timestamptz) is
  'How many hits a key has left now, and when it has one more: null while none counts. None while it cools down, and one every two seconds just after.';

create function filaviva.cool_keys(p_limiters text[], p_keys text[], p_untils timestamptz[], p_reasons text[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  insert into filaviva.cool_downs (limiter, key, until, reason)
  select distinct on (c.limiter, c.key) c.limiter, c.key, c.until, left(coalesce(c.reason, ''), 500)
  from unnest(p_limiters, p_keys, p_untils, p_reasons) as c(limiter, key, until, reason)
  order by c.limiter, c.key, c.until desc
  on conflict (limiter, key) do update set until = excluded.until, reason = excluded.reason where cool_downs.until < excluded.until;
end
$$;
comment on function filaviva.cool_keys(text[], text[], timestamptz[], text[]) is
  'Lets locked keys cool down; of two times for one key the later counts.';

create function filaviva.cool_down(p_limiter text, p_key text, p_until timestamptz, p_reason text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_key constant text := filaviva.fold_key(p_key);
  v_now constant timestamptz := filaviva.now();
begin
  if not exists (select from public.rate_limiters l where l.name = p_limiter) then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  if coalesce(p_key, '') = '' or not coalesce(isfinite(p_until) and p_until < v_now + interval '31 days', true) then
    perform filaviva.fail(400, 'invalid_field', 'p_key must name what cools down, and p_until a time within 31 days, or null.', 'Correct the field and send the call again.');
  end if;
  perform filaviva.lock_keys(array[p_limiter], array[v_key]);
  -- Said by name, it holds as said: also when it ends a cool-down that is stored.
  delete from filaviva.cool_downs c where c.limiter = p_limiter and c.key = v_key;
  if p_until > v_now then
    perform filaviva.cool_keys(array[p_limiter], array[v_key], array[p_until], array[p_reason]);
  end if;
  update filaviva.parked_keys k set next_at = v_now where k.limiter = p_limiter and k.key = v_key;
  perform filaviva.mark_for_kick(array(select k.queue from filaviva.parked_keys k where k.limiter = p_limiter and k.key = v_key));
end
$$;
comment on function filaviva.cool_down(text, text, timestamptz, text) is
  'Admits nothing under a key of a limit before a time; a time that is over, or null, ends a cool-down. The jobs that wait show the limit, and why_waiting() the time.';

-- Admission -------------------------------------------------------------------------------------

create or replace function filaviva.admit(p_queue text, p_job_ids uuid[], p_limit int) returns filaviva.admission
language plpgsql volatile
set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_answer filaviva.admission := row('{}', '{}', '{}', '{}', '{}');
  v_left jsonb := '{}';      -- limiter:key → hits left; null when another claim counts that key
  v_job record; v_names text[]; v_free boolean[]; v_rule public.rate_limiters; v_at int; v_busy boolean; v_now timestamptz;
begin
  for v_job in
    select i.id, l.limiters, l.keys, l.once
    from unnest(p_job_ids) with ordinality as i(id, ord)
    join public.jobs j on j.id = i.id,
    lateral (
      select coalesce(array_agg(k.limiter), '{}') as limiters, array_agg(k.key) as keys, array_agg(k.once) as once
      from (
        select q.limiter, filaviva.limit_key(j, q.key) as key, q.counts = 'jobs' as once
        from public.queue_limits q where q.queue = p_queue and (q.counts = 'claims' or j.committed_at is null)
        order by 1, 2
      ) k
      where k.key is not null
    ) l
    order by i.ord
  loop
    if cardinality(v_answer.admitted) >= p_limit then
      v_answer.skipped := v_answer.skipped || v_job.id;
      continue;
    end if;
    v_names := '{}'; v_free := '{}'; v_at := null; v_busy := false;
    for v_i in 1 .. cardinality(v_job.limiters) loop
      v_names := v_names || (v_job.limiters[v_i] || ':' || v_job.keys[v_i]);
      if not v_left ? v_names[v_i] then
        select * into v_rule from public.rate_limiters l where l.name = v_job.limiters[v_i];
        v_left := v_left || case when filaviva.try_key(v_rule.name, v_job.keys[v_i])
          then filaviva.hits_left(v_rule, v_job.keys[v_i]) else jsonb_build_object(v_names[v_i], null) end;
      end if;
      v_busy := v_busy or v_left -> v_names[v_i] = 'null';
      v_now := filaviva.now();
      v_free := v_free || (v_job.once[v_i] and filaviva.cools_until(v_job.limiters[v_i], v_job.keys[v_i], v_now) is null
        and exists (
          select from filaviva.rate_limit_hits h join public.rate_limiters l on l.name = h.limiter
          where h.job_id = v_job.id and h.limiter = v_job.limiters[v_i] and h.key = v_job.keys[v_i]
            and h.at > v_now - make_interval(secs => l.window_seconds) - filaviva.start_slack()
        ));
      if not v_free[v_i] and (v_left ->> v_names[v_i])::int <= 0 then v_at := v_i; end if;
    end loop;
    if v_busy then
      v_answer.skipped := v_answer.skipped || v_job.id;
    elsif v_at is null then
      v_answer.admitted := v_answer.admitted || v_job.id;
      for v_i in 1 .. cardinality(v_names) loop
        continue when v_free[v_i];
        v_left := jsonb_set(v_left, array[v_names[v_i]], to_jsonb((v_left ->> v_names[v_i])::int - 1));
        insert into filaviva.rate_limit_hits (limiter, key, at, job_id) values (v_job.limiters[v_i], v_job.keys[v_i], v_now, v_job.id);
      end loop;
    else
      v_answer.refused := v_answer.refused || v_job.id;
      v_answer.limiters := v_answer.limiters || v_job.limiters[v_at];
      v_answer.keys := v_answer.keys || v_job.keys[v_at];
    end if;
  end loop;
  return v_answer;
end
$$;

create function filaviva.hits_left(p_limiter public.rate_limiters, p_key text) returns jsonb
language plpgsql volatile  -- a snapshot of its own: what it counts must have been committed before the lock was had
set search_path = ''
as $$
begin
  return jsonb_build_object(p_limiter.name || ':' || p_key, (filaviva.allowance(p_limiter, p_key, filaviva.now())).remaining);
end
$$;
comment on function filaviva.hits_left(public.rate_limiters, text) is 'What a locked key has left now: {"limiter:key": hits}.';

create or replace function filaviva.park(p_queue text, p_job_ids uuid[], p_limiters text[], p_keys text[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  update public.jobs j set
    next_run_at = null, blocked_by = 'limit:' || r.limiter || ':' || r.key, waiting_reason = 'limit:' || r.limiter,
    version = j.version + 1, updated_at = p_now
  from unnest(p_job_ids, p_limiters, p_keys) as r(id, limiter, key)
  where j.id = r.id and j.id = any (p_job_ids);
  insert into filaviva.parked_keys (queue, limiter, key, next_at)
  select p_queue, r.limiter, r.key, coalesce((filaviva.allowance(l, r.key, p_now)).next_at, p_now)
  from (select distinct limiter, key from unnest(p_limiters, p_keys) as k(limiter, key)) r join public.rate_limiters l on l.name = r.limiter
  order by 2, 3
  on conflict (queue, limiter, key) do nothing;
end
$$;
comment on function filaviva.park(text, uuid[], text[], text[], timestamptz) is
  'Parks locked jobs, taken from the line or just settled, under the keys that refused them.';

create or replace function filaviva.prune_hits(p_now timestamptz) returns int
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
  delete from filaviva.cool_downs d using (
    select c.ctid from filaviva.cool_downs c where c.until < p_now - interval '1 hour' for update skip locked
  ) o where d.ctid = o.ctid;
  return v_pruned;
end
$$;
comment on function filaviva.prune_hits(timestamptz) is 'Forgets hits that no longer count and cool-downs that are long over; answers how many hits.';

-- Access ----------------------------------------------------------------------------------------

revoke all on filaviva.cool_downs from anon, authenticated, service_role;
revoke execute on all functions in schema filaviva from public;
grant execute on function filaviva.cool_down(text, text, timestamptz, text) to service_role;
