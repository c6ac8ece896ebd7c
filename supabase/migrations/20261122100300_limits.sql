-- Rate limits: at most so many hits of one key in any window of time, over all workers and queues.
-- A claim of a job is a hit of every limit that its queue names: all of them are taken together or
-- none is. A refused job spends no attempt; it is parked under the key that refused it, out of the
-- line, and the key wakes as many as it allows again when the time has come.
--
-- What counts is when the other side is called, which may be up to two seconds after the claim (a
-- worker hands back what it could not start by then). So a hit counts for its window and those two
-- seconds: whatever each call's delay, no window at the provider holds more than max_hits.

create table public.rate_limiters (
  name text primary key constraint limiter_name_is_simple check (name ~ '^[a-z][a-z0-9_]{0,46}$'),
  max_hits int not null constraint max_hits_is_positive check (max_hits > 0),
  window_seconds int not null constraint window_is_between_a_second_and_a_day check (window_seconds between 1 and 86400),
  updated_at timestamptz not null default now(),
  version bigint not null default 1
);
comment on table public.rate_limiters is 'Limits by name: at most max_hits in any window_seconds for one key. Changed by set_rate_limiter() while everything runs.';

create table public.queue_limits (
  queue text not null references public.queues (name),
  limiter text not null references public.rate_limiters (name),
  key text not null constraint key_is_a_path
    check (key in ('queue', 'kind', 'user_id', 'company_id', 'instance_id', 'group_key') or key ~ '^(payload|metadata)([.][A-Za-z0-9_-]+)+$'),
  primary key (queue, limiter, key)
);
create index queue_limits_by_limiter on public.queue_limits (limiter);
comment on table public.queue_limits is 'Which limits the jobs of a queue are under, and where in a job the key stands. A job without the key is not under the limit.';

create table filaviva.rate_limit_hits (
  limiter text not null,
  key text not null,
  at timestamptz not null,
  job_id uuid
);
create index rate_limit_hits_by_key on filaviva.rate_limit_hits (limiter, key, at);
create index rate_limit_hits_by_age on filaviva.rate_limit_hits using brin (at);
create index rate_limit_hits_by_job on filaviva.rate_limit_hits (job_id) where job_id is not null;
comment on table filaviva.rate_limit_hits is 'One row a hit; kept while it counts.';

create table filaviva.parked_keys (
  queue text not null,
  limiter text not null,
  key text not null,
  next_at timestamptz not null,
  primary key (queue, limiter, key)
);
create index parked_keys_by_time on filaviva.parked_keys (queue, next_at);
comment on table filaviva.parked_keys is 'Keys under which jobs of a queue are parked, and when the next of them may go.';

alter table filaviva.rate_limit_hits enable row level security;
alter table filaviva.parked_keys enable row level security;

create function filaviva.start_slack() returns interval
language sql immutable
set search_path = ''
as $$ select interval '2 seconds' $$;
comment on function filaviva.start_slack() is 'How long after its claim a job under a limit may still be started; a hit counts that much longer than its window.';

-- Counting --------------------------------------------------------------------------------------

create function filaviva.fold_key(p_key text) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return case when length(p_key) > 200 then left(p_key, 150) || ':' || md5(p_key) else p_key end;
end
$$;
comment on function filaviva.fold_key(text) is 'A key as limits keep it: a long one keeps its beginning and a hash, since an index bears no more.';

create function filaviva.limit_key(p_job public.jobs, p_path text) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return filaviva.fold_key(case p_path
    when 'queue' then p_job.queue when 'kind' then p_job.kind when 'user_id' then p_job.user_id::text
    when 'company_id' then p_job.company_id::text when 'instance_id' then p_job.instance_id when 'group_key' then p_job.group_key
    else case split_part(p_path, '.', 1) when 'payload' then p_job.payload else p_job.metadata end
      #>> (string_to_array(p_path, '.'))[2:]
  end);
end
$$;
comment on function filaviva.limit_key(public.jobs, text) is 'What a job counts as under a limit; null when the limit does not concern it.';

create function filaviva.allowance(p_limiter public.rate_limiters, p_key text, p_now timestamptz, out remaining int, out next_at timestamptz)
language plpgsql stable
set search_path = ''
set enable_seqscan = off  -- the newest hits of one key, by its index
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_counts_for constant interval := make_interval(secs => p_limiter.window_seconds) + filaviva.start_slack();
  v_hits timestamptz[] := array(
    select h.at from filaviva.rate_limit_hits h
    where h.limiter = p_limiter.name and h.key = p_key and h.at > p_now - v_counts_for
    order by h.at desc limit p_limiter.max_hits
  );
begin
  remaining := p_limiter.max_hits - cardinality(v_hits);
  -- The oldest hit that counts makes room for the next one when it stops counting.
  next_at := v_hits[cardinality(v_hits)] + v_counts_for;
end
$$;
comment on function filaviva.allowance(public.rate_limiters, text, timestamptz) is
  'How many hits a key has left now, and when it has one more: null while none counts.';

-- Keys are locked by bucket: a bounded number of locks however many keys. Who parks a job, wakes a
-- key or counts its hits holds the key's bucket to its commit, so that nobody misses what another does.

create function filaviva.key_bucket(p_limiter text, p_key text) returns int
language plpgsql immutable
set search_path = ''
as $$
begin
  return hashtext(p_limiter || ':' || p_key) & 1023;
end
$$;

create function filaviva.try_key(p_limiter text, p_key text) returns boolean
language plpgsql volatile
set search_path = ''
as $$
begin
  return pg_try_advisory_xact_lock(hashtext('filaviva.limit'), filaviva.key_bucket(p_limiter, p_key));
end
$$;
comment on function filaviva.try_key(text, text) is 'Locks a key of a limit for this transaction unless another holds it; never waits.';

create function filaviva.lock_keys(p_limiters text[], p_keys text[]) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_bucket int;
begin
  for v_bucket in
    select distinct filaviva.key_bucket(k.limiter, k.key) from unnest(p_limiters, p_keys) as k(limiter, key) order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('filaviva.limit'), v_bucket);
  end loop;
end
$$;
comment on function filaviva.lock_keys(text[], text[]) is 'Locks keys of limits in one order, waiting for them.';

-- Admission -------------------------------------------------------------------------------------

create type filaviva.admission as (admitted uuid[], refused uuid[], limiters text[], keys text[], skipped uuid[]);
comment on type filaviva.admission is
  'Which of some jobs may run under their limits; for a refused one the limit and key that refuse it; skipped ones were not needed, or have a key that another claim is counting.';

create function filaviva.admit(p_queue text, p_job_ids uuid[], p_limit int) returns filaviva.admission
language plpgsql volatile
set search_path = ''
as $$
declare
  v_answer filaviva.admission := row('{}', '{}', '{}', '{}', '{}');
  v_left jsonb := '{}';      -- limiter:key → hits left; null when another claim counts that key
  v_hit record; v_job record; v_names text[]; v_limiters text[]; v_keys text[]; v_at int; v_mine boolean; v_now timestamptz;
begin
  for v_hit in
    select distinct l.name, filaviva.limit_key(j, q.key) as key, l as limiter
    from public.queue_limits q join public.rate_limiters l on l.name = q.limiter, public.jobs j
    where q.queue = p_queue and j.id = any (p_job_ids) and filaviva.limit_key(j, q.key) is not null
    order by 1, 2
  loop
    v_mine := filaviva.try_key(v_hit.name, v_hit.key);
    v_now := filaviva.now();
    -- A statement of its own: what it counts must have been committed before the lock was had.
    v_left := v_left || jsonb_build_object(v_hit.name || ':' || v_hit.key,
      case when v_mine then (filaviva.allowance(v_hit.limiter, v_hit.key, v_now)).remaining end);
  end loop;

  for v_job in
    select i.id, l.names, l.limiters, l.keys
    from unnest(p_job_ids) with ordinality as i(id, ord)
    join public.jobs j on j.id = i.id,
    lateral (
      select array_agg(k.limiter || ':' || k.key) as names, array_agg(k.limiter) as limiters, array_agg(k.key) as keys
      from (select q.limiter, filaviva.limit_key(j, q.key) as key from public.queue_limits q where q.queue = p_queue) k
      where k.key is not null
    ) l
    where j.id = any (p_job_ids)
    order by i.ord
  loop
    v_names := coalesce(v_job.names, '{}'); v_limiters := v_job.limiters; v_keys := v_job.keys;
    if cardinality(v_answer.admitted) >= p_limit or exists (select from unnest(v_names) n where v_left -> n = 'null') then
      v_answer.skipped := v_answer.skipped || v_job.id;
      continue;
    end if;
    v_at := null;
    for v_i in 1 .. cardinality(v_names) loop
      if (v_left ->> v_names[v_i])::int <= 0 then v_at := v_i; end if;
    end loop;
    if v_at is null then
      v_answer.admitted := v_answer.admitted || v_job.id;
      for v_i in 1 .. cardinality(v_names) loop
        v_left := jsonb_set(v_left, array[v_names[v_i]], to_jsonb((v_left ->> v_names[v_i])::int - 1));
        insert into filaviva.rate_limit_hits (limiter, key, at, job_id) values (v_limiters[v_i], v_keys[v_i], v_now, v_job.id);
      end loop;
    else
      v_answer.refused := v_answer.refused || v_job.id;
      v_answer.limiters := v_answer.limiters || v_limiters[v_at];
      v_answer.keys := v_answer.keys || v_keys[v_at];
    end if;
  end loop;
  return v_answer;
end
$$;
comment on function filaviva.admit(text, uuid[], int) is
  'Takes the hits of at most p_limit locked jobs, in their order and at the time of the count, as far as every limit of each allows. Never waits: a key that another claim counts is left alone.';

create function filaviva.park(p_queue text, p_job_ids uuid[], p_limiters text[], p_keys text[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  update public.jobs j set
    blocked_by = 'limit:' || r.limiter || ':' || r.key, waiting_reason = 'limit:' || r.limiter, version = j.version + 1, updated_at = p_now
  from unnest(p_job_ids, p_limiters, p_keys) as r(id, limiter, key)
  where j.id = r.id and j.id = any (p_job_ids);
  insert into filaviva.parked_keys (queue, limiter, key, next_at)
  select p_queue, r.limiter, r.key, coalesce((filaviva.allowance(l, r.key, p_now)).next_at, p_now)
  from (select distinct limiter, key from unnest(p_limiters, p_keys) as k(limiter, key)) r join public.rate_limiters l on l.name = r.limiter
  order by 2, 3
  on conflict (queue, limiter, key) do nothing;
end
$$;
comment on function filaviva.park(text, uuid[], text[], text[], timestamptz) is 'Parks locked jobs, taken from the line, under the keys that refused them.';

create function filaviva.give_back_hits(p_job_ids uuid[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_limiters text[]; v_keys text[];
begin
  if p_job_ids = '{}' then
    return;
  end if;
  with given_back as (
    delete from filaviva.rate_limit_hits h using public.jobs j
    where j.id = any (p_job_ids) and h.job_id = j.id and h.at >= j.started_at
    returning h.limiter, h.key
  )
  select array_agg(g.limiter), array_agg(g.key) into v_limiters, v_keys from (select distinct limiter, key from given_back) g;
  perform filaviva.lock_keys(v_limiters, v_keys);
  update filaviva.parked_keys k set next_at = p_now
  from unnest(v_limiters, v_keys) as g(limiter, key) where k.limiter = g.limiter and k.key = g.key;
end
$$;
comment on function filaviva.give_back_hits(uuid[], timestamptz) is 'Forgets the hits of claims that started nothing; what waits for those keys looks again.';

-- Access ----------------------------------------------------------------------------------------

alter table public.rate_limiters enable row level security;
alter table public.queue_limits enable row level security;
create policy "users read rate limiters" on public.rate_limiters for select to authenticated using (true);
create policy "operators read queue limits" on public.queue_limits for select to authenticated using ((select filaviva.is_operator()));
revoke all on public.rate_limiters, public.queue_limits from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.rate_limiters, public.queue_limits to authenticated, service_role;

revoke execute on all functions in schema filaviva from public;
