-- Workers: long-running processes that listen instead of being called. While one lives, what is
-- enqueued for its queues is told by NOTIFY, once a call and queue at its commit, and nobody is called
-- by HTTP. The tick knows nothing of workers: what they leave lying, it calls a drain for.
-- Besides: how long jobs of a kind take, so that a drain stops in time; how many jobs are due; and how
-- long a worker's call may wait for a lock.

create table filaviva.workers (
  worker_id text primary key,
  queues text[],
  started_at timestamptz not null,
  seen_at timestamptz not null,
  stopping boolean not null default false
) with (fillfactor = 50);
comment on table filaviva.workers is 'The long-running workers. Each renews its row every few seconds; who was not seen for 15 seconds no longer counts.';
comment on column filaviva.workers.queues is 'The queues that it serves; null for all.';
comment on column filaviva.workers.stopping is 'It claims no more, and lives only until its jobs have ended.';
alter table filaviva.workers enable row level security;

create function filaviva.has_worker(p_queue text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return exists (
    select from filaviva.workers w
    where not w.stopping and w.seen_at > filaviva.now() - interval '15 seconds' and (w.queues is null or p_queue = any (w.queues))
  );
end
$$;
comment on function filaviva.has_worker(text) is 'Whether a long-running worker listens for a queue.';

create function filaviva.names_of(p_names jsonb) returns text[]
language plpgsql immutable
set search_path = ''
as $$
begin
  if jsonb_typeof(p_names) is distinct from 'array' then
    perform filaviva.fail(400, 'invalid_field', 'p_queues must be an array of names.', 'Send ["a_queue", …].');
  end if;
  return array(select n from jsonb_array_elements_text(p_names) n);
end
$$;
comment on function filaviva.names_of(jsonb) is 'A JSON array of names as an array.';

create function filaviva.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := filaviva.now();
  v_queues constant text[] := case when jsonb_typeof(p_queues) <> 'null' then filaviva.names_of(p_queues) end;
  v_queue text;
begin
  if p_worker_id is null or length(p_worker_id) not between 1 and 200 then
    perform filaviva.fail(400, 'invalid_field', 'p_worker_id must have 1 to 200 characters.', 'Send a name that no other worker has, and the same one each time.');
  end if;
  foreach v_queue in array coalesce(v_queues, '{}') loop
    perform filaviva.require_queue(v_queue);
  end loop;
  insert into filaviva.workers (worker_id, queues, started_at, seen_at, stopping)
  values (p_worker_id, v_queues, v_now, v_now, coalesce(p_stopping, false))
  on conflict (worker_id) do update set queues = excluded.queues, seen_at = excluded.seen_at, stopping = excluded.stopping;
  delete from filaviva.workers w where w.worker_id = any (array(
    select d.worker_id from filaviva.workers d where d.seen_at < v_now - interval '1 minute' for update skip locked
  ));
  return (
    select coalesce(jsonb_agg(q.name order by q.name), '[]') from public.queues q
    where v_queues is null or q.name = any (v_queues)
  );
end
$$;
comment on function filaviva.announce_worker(text, jsonb, boolean) is
  'A long-running worker says every few seconds that it lives and which queues it serves (null: all), or that it is stopping; answers their names. Forgets those that died.';

create function filaviva.dismiss_worker(p_worker_id text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_worker filaviva.workers;
begin
  delete from filaviva.workers w where w.worker_id = p_worker_id returning * into v_worker;
  if found then
    perform filaviva.mark_for_kick(array(
      select q.name from public.queues q
      where (v_worker.queues is null or q.name = any (v_worker.queues)) and filaviva.wants_drain(q)
    ));
  end if;
end
$$;
comment on function filaviva.dismiss_worker(text) is 'A long-running worker has gone: whoever else serves its queues is woken where there is work.';

-- Waking ----------------------------------------------------------------------------------------

create or replace function filaviva.post_drain(p_queue text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_url text := filaviva.secret('filaviva_drain_url');
  v_token text := filaviva.secret('filaviva_drain_token');
begin
  if v_url is null or v_token is null then
    if not filaviva.has_worker(p_queue) then
      raise warning 'filaviva: no drain is configured; call configure_drain(url, token), or run a worker';
    end if;
    return false;
  end if;
  perform net.http_post(
    url := v_url,
    body := jsonb_build_object('queues', jsonb_build_array(p_queue)),
    headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_token),
    timeout_milliseconds := (select s.call_timeout_ms from filaviva.drain_settings s)
  );
  return true;
exception when others then
  raise warning 'filaviva: the drain could not be called: %', sqlerrm;
  return false;
end
$$;

create or replace function filaviva.kick_queue(p_queue text) returns boolean
language plpgsql security definer
set search_path = ''
set lock_timeout = '200ms'
as $$
declare
  v_posted_at timestamptz;
begin
  if exists (select from public.queues q where q.name = p_queue and q.paused_at is not null) then
    return false;
  end if;
  if filaviva.has_worker(p_queue) then
    perform pg_notify('filaviva_wake', p_queue);
    return true;
  end if;
  if exists (select from filaviva.kicks k where k.queue = p_queue and k.posted_at > filaviva.now() - interval '1 second') then
    return false;  -- a drain woken within this second lingers for longer than that
  end if;
  begin
    -- Whoever holds the row is committing a kick of its own: the wait is that commit's.
    select k.posted_at into v_posted_at from filaviva.kicks k where k.queue = p_queue for update;
    if v_posted_at > filaviva.now() - interval '1 second' then
      return false;
    end if;
    update filaviva.kicks set posted_at = filaviva.now() where queue = p_queue;
  exception when lock_not_available then
    null;  -- it takes too long, and may still roll back: post our own
  end;
  return filaviva.post_drain(p_queue);
end
$$;
comment on function filaviva.kick_queue(text) is
  'Wakes the workers that listen for a queue, or else calls its drain, at most once a second. True when somebody was woken.';

create or replace function filaviva.mark_for_kick(p_queues text[]) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_queue text;
begin
  foreach v_queue in array p_queues loop
    if filaviva.has_worker(v_queue) then
      perform pg_notify('filaviva_wake', v_queue);  -- waits for the commit by itself
    else
      insert into filaviva.kick_marks (queue) values (v_queue);
    end if;
  end loop;
end
$$;
comment on function filaviva.mark_for_kick(text[]) is 'Has whoever serves the queues woken when this transaction commits.';

-- How long jobs take ----------------------------------------------------------------------------

create table filaviva.kind_stats (
  kind text primary key,
  runs double precision[] not null,
  usual_seconds double precision not null,
  updated_at timestamptz not null
);
comment on table filaviva.kind_stats is 'How long the last runs of each kind took; written by each drain at its end.';
comment on column filaviva.kind_stats.runs is 'About the last 1,000 runs: element i counts those of at most 2^(i-1) milliseconds.';
comment on column filaviva.kind_stats.usual_seconds is 'At most this long took all but the slowest twentieth (p95), rounded up to a step of runs.';
alter table filaviva.kind_stats enable row level security;

create function filaviva.record_runs(p_runs jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_steps constant int := 25;
  v_kind text;
  v_new double precision[];
  v_old double precision[];
  v_total double precision;
begin
  if jsonb_typeof(p_runs) is distinct from 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_runs must be an object.', 'Send {"a_kind": [counts by duration], …}.');
  end if;
  for v_kind in select k.key from jsonb_object_keys(p_runs) as k(key) order by 1 loop
    begin
      v_new := array(
        select n::int::double precision from jsonb_array_elements_text(p_runs -> v_kind) with ordinality as e(n, i) where i <= v_steps order by i
      );
    exception when data_exception then
      perform filaviva.fail(400, 'invalid_field', format('The runs of %L cannot be read.', v_kind), 'Send {"a_kind": [counts by duration], …}.');
    end;
    continue when not exists (select from public.kinds k where k.kind = v_kind);
    select s.runs into v_old from filaviva.kind_stats s where s.kind = v_kind for update;
    v_new := array(select coalesce(v_old[i], 0) + coalesce(v_new[i], 0) from generate_series(1, v_steps) i order by i);
    v_total := (select sum(n) from unnest(v_new) n);
    continue when v_total is null or v_total <= 0;
    if v_total > 1000 then  -- older runs fade
      v_new := array(select n * 1000 / v_total from unnest(v_new) with ordinality as e(n, i) order by i);
    end if;
    insert into filaviva.kind_stats (kind, runs, usual_seconds, updated_at)
    values (v_kind, v_new, (
      select power(2, min(r.i) - 1) / 1000
      from (select i, sum(n) over (order by i) as below, sum(n) over () as total from unnest(v_new) with ordinality as e(n, i)) r
      where r.below >= 0.95 * r.total
    ), filaviva.now())
    on conflict (kind) do update set runs = excluded.runs, usual_seconds = excluded.usual_seconds, updated_at = excluded.updated_at;
  end loop;
end
$$;
comment on function filaviva.record_runs(jsonb) is 'Adds counts of runs by duration to kind_stats: {"kind": [at most 1 ms, 2 ms, 4 ms, …]}.';

create function filaviva.usual_run_seconds(p_queue text) returns double precision
language plpgsql security definer
set search_path = ''
as $$
begin
  return (
    select coalesce(max(s.usual_seconds), 0) from public.kinds k join filaviva.kind_stats s on s.kind = k.kind where k.queue = p_queue
  );
end
$$;
comment on function filaviva.usual_run_seconds(text) is 'The usual seconds of the slowest kind of a queue; 0 when nothing is known.';

-- How much is due -------------------------------------------------------------------------------

create function filaviva.count_due_jobs(p_queues jsonb) returns int
language plpgsql security definer
set search_path = ''
as $$
declare
  v_queue text;
  v_due int := 0;
begin
  foreach v_queue in array filaviva.names_of(p_queues) loop
    v_due := v_due
      + (select count(*) from filaviva.deliveries(v_queue, 'ready', 1000) d)
      + (select count(*) from (select from filaviva.due_jobs d where d.queue = v_queue limit 1000) s)
      + (select count(*) from (select from public.jobs j where j.queue = v_queue and j.next_run_at <= filaviva.now() limit 1000) s);
  end loop;
  return v_due;
end
$$;
comment on function filaviva.count_due_jobs(jsonb) is
  'How many jobs of the queues could be claimed now, counted up to a bound; the lines of groups count by their heads.';

-- Waiting for locks -----------------------------------------------------------------------------

-- Who holds a row of a worker's for longer is in trouble: the worker gives way, and its ledger calls again.
alter function filaviva.settle_jobs(jsonb) set lock_timeout = '1s';
alter function filaviva.extend_leases(jsonb) set lock_timeout = '1s';
alter function filaviva.commit_job(uuid, bigint, jsonb, boolean, int) set lock_timeout = '1s';

create function public.announce_worker(p_worker_id text, p_queues jsonb default null, p_stopping boolean default false) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.announce_worker(p_worker_id, p_queues, p_stopping) $$;

create function public.dismiss_worker(p_worker_id text) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.dismiss_worker(p_worker_id) $$;

create function public.record_runs(p_runs jsonb) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.record_runs(p_runs) $$;

create function public.usual_run_seconds(p_queue text) returns double precision
language sql security invoker
set search_path = ''
as $$ select filaviva.usual_run_seconds(p_queue) $$;

create function public.count_due_jobs(p_queues jsonb) returns int
language sql security invoker
set search_path = ''
as $$ select filaviva.count_due_jobs(p_queues) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.announce_worker(text, jsonb, boolean), public.dismiss_worker(text), public.record_runs(jsonb),
  public.usual_run_seconds(text), public.count_due_jobs(jsonb)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.announce_worker(text, jsonb, boolean), filaviva.dismiss_worker(text), filaviva.record_runs(jsonb),
  filaviva.usual_run_seconds(text), filaviva.count_due_jobs(jsonb) to service_role;
grant execute on function public.announce_worker(text, jsonb, boolean), public.dismiss_worker(text), public.record_runs(jsonb),
  public.usual_run_seconds(text), public.count_due_jobs(jsonb) to service_role;
