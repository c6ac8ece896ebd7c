-- Queues and kinds: what can be enqueued, where it goes, and the numbers that rule it.
-- A queue is one row here and one pgmq queue of the same name; every number can be changed while
-- it runs. Making a queue is the only DDL of the engine, and never happens in enqueue.

create table public.queues (
  name text primary key
    constraint queue_name_fits_pgmq check (name ~ '^[a-z][a-z0-9_]{0,46}$'),
  concurrency int constraint concurrency_is_positive check (concurrency > 0),
  lease_seconds int not null default 30 constraint lease_is_between_5_and_300_seconds check (lease_seconds between 5 and 300),
  stall_seconds int not null default 1800 constraint stall_is_positive check (stall_seconds > 0),
  on_stall text not null default 'retry' constraint on_stall_is_retry_or_fail check (on_stall in ('retry', 'fail')),
  timeout_seconds int not null default 60 constraint timeout_is_positive check (timeout_seconds > 0),
  max_attempts int not null default 3 constraint max_attempts_is_positive check (max_attempts > 0),
  max_snoozes int not null default 200 constraint max_snoozes_is_not_negative check (max_snoozes >= 0),
  backoff_base_seconds numeric not null default 2 constraint backoff_base_is_not_negative check (backoff_base_seconds >= 0),
  backoff_factor numeric not null default 2 constraint backoff_factor_is_at_least_one check (backoff_factor >= 1),
  backoff_max_seconds numeric not null default 600 constraint backoff_max_is_not_negative check (backoff_max_seconds >= 0),
  gap_min_ms int not null default 0 constraint gap_is_not_negative check (gap_min_ms >= 0),
  gap_max_ms int not null default 0 constraint gap_max_is_not_below_gap_min check (gap_max_ms >= gap_min_ms),
  window_size int not null default 1000 constraint window_is_not_negative check (window_size >= 0),
  max_drains int not null default 1 constraint max_drains_is_positive check (max_drains > 0),
  retention_completed interval not null default '7 days',
  retention_failed interval not null default '30 days',
  paused_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.queues is 'One row a queue; its numbers may be changed while it runs. Made by create_queue().';
comment on column public.queues.concurrency is 'How many of its jobs may run at once over all workers. Null: no cap.';
comment on column public.queues.lease_seconds is 'How long a claim holds without being renewed. A live worker renews it every third of this.';
comment on column public.queues.stall_seconds is 'Outer bound on one claim since started_at, over all renewals of its lease; then on_stall decides.';
comment on column public.queues.max_attempts is 'Attempts in all, the first included. Copied into a job when it is enqueued.';
comment on column public.queues.gap_min_ms is 'Least pause between two jobs of one group; the pause is drawn evenly between gap_min_ms and gap_max_ms.';
comment on column public.queues.window_size is 'How many ready jobs pgmq may hold ahead of the workers; what is above waits in jobs, where waiting costs nothing.';
comment on column public.queues.paused_at is 'Set while nothing of this queue is claimed; what runs goes on. See pause_queue().';
comment on column public.queues.max_drains is 'How many drains one tick may start for this queue.';

create table public.kinds (
  kind text primary key constraint kind_is_a_name check (kind ~ '^[a-z][a-z0-9_-]{0,62}$'),
  queue text not null references public.queues (name),
  timeout_seconds int constraint timeout_is_positive check (timeout_seconds > 0),
  max_attempts int constraint max_attempts_is_positive check (max_attempts > 0),
  user_may_enqueue boolean not null default false
);
create index kinds_by_queue on public.kinds (queue);
comment on table public.kinds is 'Which queue runs which kind of job. Null numbers mean the queue''s own.';
comment on column public.kinds.user_may_enqueue is 'Whether a signed-in user may enqueue it, or the service role alone.';

create table filaviva.kicks (
  queue text primary key references public.queues (name),
  posted_at timestamptz not null default '-infinity'
);
comment on table filaviva.kicks is 'When each queue''s drain was last woken, so that a burst of enqueues wakes it once a second.';
alter table filaviva.kicks enable row level security;

create function filaviva.create_queue(p_name text, p_settings jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_unknown text;
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may create or change a queue.', 'Use the service key, or SQL as postgres.');
  end if;
  select k.key into v_unknown
  from jsonb_object_keys(p_settings) as k(key)
  where k.key in ('name', 'paused_at', 'created_at') or not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'public.queues'::regclass and a.attname = k.key and a.attnum > 0 and not a.attisdropped
  )
  limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A queue has no setting %L.', v_unknown), 'The settings are the columns of public.queues.');
  end if;

  insert into public.queues (name) values (p_name) on conflict do nothing;
  if found then
    perform pgmq.create(p_name);
    -- Messages come and go at the rate of jobs: vacuum by count, not by share of the table.
    execute format(
      'alter table pgmq.%I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)',
      'q_' || p_name
    );
    insert into filaviva.kicks (queue) values (p_name);
  elsif p_settings ? 'concurrency' then
    perform filaviva.mark_for_kick(array[p_name]);  -- there may be room now
  end if;
  if p_settings <> '{}' then
    execute format(
      'update public.queues q set %s from jsonb_populate_record(null::public.queues, $2) s where q.name = $1',
      (select string_agg(format('%1$I = s.%1$I', k.key), ', ') from jsonb_object_keys(p_settings) as k(key))
    ) using p_name, p_settings;
  end if;
end
$$;
comment on function filaviva.create_queue(text, jsonb) is
  'Makes the queue and its pgmq queue, or changes the named settings of one that exists.';

create function filaviva.register_kind(p_kind text, p_settings jsonb) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_kind public.kinds;
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may register a kind.', 'Use the service key, or SQL as postgres.');
  end if;
  select * into v_kind from public.kinds k where k.kind = p_kind;
  v_kind := jsonb_populate_record(v_kind, p_settings);
  insert into public.kinds (kind, queue, timeout_seconds, max_attempts, user_may_enqueue)
  values (p_kind, v_kind.queue, v_kind.timeout_seconds, v_kind.max_attempts, coalesce(v_kind.user_may_enqueue, false))
  on conflict (kind) do update set
    queue = excluded.queue, timeout_seconds = excluded.timeout_seconds,
    max_attempts = excluded.max_attempts, user_may_enqueue = excluded.user_may_enqueue;
end
$$;
comment on function filaviva.register_kind(text, jsonb) is 'Says which queue runs a kind, or changes what is named of one that exists. Settings are the columns of kinds.';

create function public.create_queue(p_name text, p_settings jsonb default '{}') returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.create_queue(p_name, p_settings) $$;

create function public.register_kind(p_kind text, p_settings jsonb) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.register_kind(p_kind, p_settings) $$;

-- Access ----------------------------------------------------------------------------------------

alter table public.queues enable row level security;
alter table public.kinds enable row level security;
create policy "operators read queues" on public.queues for select to authenticated using ((select filaviva.is_operator()));
create policy "operators read kinds" on public.kinds for select to authenticated using ((select filaviva.is_operator()));
revoke all on public.queues, public.kinds from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.queues, public.kinds to authenticated, service_role;

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.create_queue(text, jsonb), public.register_kind(text, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.create_queue(text, jsonb), filaviva.register_kind(text, jsonb) to service_role;
grant execute on function public.create_queue(text, jsonb), public.register_kind(text, jsonb) to service_role;
