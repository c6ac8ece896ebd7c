-- The jobs: one row each, the truth that people see. RLS scopes it, Realtime streams it.
-- The pgmq message carries only {"job_id": …} and is the delivery; both change in one transaction.
--
-- A job that is not over is in exactly one place:
--   later      next_run_at is set   waits for a time: scheduled, backing off, polling
--   behind     blocked_by is set    waits behind the head of its group
--   due        fair_tag is set      may run now, waits in this table
--   delivered  msg_id is set        its message is in pgmq: ready in the window, or in flight
-- Waiting rows cost a claim nothing. No index names a column that claim or settle changes on a
-- delivered job: such an index would make every update of the busy path write all indexes.

create sequence filaviva.job_seq;
create sequence filaviva.claim_seq;

create table public.jobs (
  id uuid primary key default gen_random_uuid(),
  seq bigint not null default nextval('filaviva.job_seq'),
  queue text not null,
  kind text not null,
  user_id uuid references auth.users (id) on delete cascade,
  company_id uuid,
  instance_id text,
  payload jsonb not null default '{}',
  metadata jsonb not null default '{}',
  priority smallint not null default 0 constraint priority_is_between_0_and_10 check (priority between 0 and 10),
  group_key text,
  idempotency_key text,
  body_hash bytea,
  correlation_id text,

  status text not null default 'pending' constraint status_is_known
    check (status in ('pending', 'processing', 'retrying', 'completed', 'failed', 'cancelled', 'unconfirmed')),
  mode text not null default 'run' constraint mode_is_run_or_reconcile check (mode in ('run', 'reconcile')),
  attempt int not null default 0 constraint attempt_is_not_negative check (attempt >= 0),
  max_attempts int not null constraint max_attempts_is_positive check (max_attempts > 0),
  snoozes int not null default 0,
  timeout_seconds int not null,

  scheduled_at timestamptz,
  next_run_at timestamptz,
  blocked_by text,
  fair_tag bigint,
  msg_id bigint,
  waiting_reason text,

  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  updated_at timestamptz not null default now(),

  claim_id bigint,
  worker_id text,
  lease_expires_at timestamptz,
  committed_at timestamptz,
  reconcilable boolean not null default false,
  cancel_requested_at timestamptz,

  progress numeric constraint progress_is_between_0_and_100 check (progress between 0 and 100),
  progress_note text,
  result jsonb,
  error_code text,
  error_message text,
  version bigint not null default 1,

  constraint a_finished_job_has_its_time
    check ((status in ('completed', 'failed', 'cancelled', 'unconfirmed')) = (finished_at is not null)),
  constraint a_lease_belongs_to_a_processing_job
    check ((status = 'processing') = (lease_expires_at is not null)),
  constraint a_processing_job_has_its_claim
    check (status <> 'processing' or (claim_id is not null and msg_id is not null and started_at is not null)),
  constraint a_job_waits_in_one_place
    check (num_nonnulls(next_run_at, blocked_by, fair_tag) <= case when msg_id is null and finished_at is null then 1 else 0 end),
  constraint a_waiting_job_has_its_place
    check (finished_at is not null or msg_id is not null or num_nonnulls(next_run_at, blocked_by, fair_tag) = 1)
) with (fillfactor = 40);

comment on table public.jobs is 'One unit of work a row. Read under RLS by its owner; changed by the engine''s functions alone.';
comment on column public.jobs.seq is 'Order of enqueue.';
comment on column public.jobs.priority is 'Higher runs sooner: 0 to 10.';
comment on column public.jobs.group_key is 'Jobs of one queue that share it run one at a time, in order.';
comment on column public.jobs.mode is 'reconcile: a committed call ended in an unknown way, and the next claim finds out instead of running again.';
comment on column public.jobs.attempt is 'Number of the current or last execution; 1 on the first claim. Snoozes and releases do not count.';
comment on column public.jobs.max_attempts is 'Executions allowed, the first included.';
comment on column public.jobs.scheduled_at is 'The user''s wish: not before this time. Never rewritten.';
comment on column public.jobs.next_run_at is 'Set while the job waits for a time.';
comment on column public.jobs.blocked_by is 'Set while the job waits behind another: group:<key>.';
comment on column public.jobs.fair_tag is 'Set while the job is due and waits in this table: its place among those of equal priority.';
comment on column public.jobs.msg_id is 'The pgmq message behind the job. Stays when the job is over, so that settling rewrites no index.';
comment on column public.jobs.claim_id is 'Number of the last claim; (id, claim_id) is the right to settle it.';
comment on column public.jobs.committed_at is 'When the irreversible call was about to be made.';
comment on column public.jobs.version is 'Rises by one at every change: never show an older row over a newer one.';

create unique index jobs_by_seq on public.jobs (seq);
create index jobs_by_user on public.jobs (user_id, seq);
create index jobs_due on public.jobs (queue, priority desc, fair_tag) where fair_tag is not null;
create index jobs_later on public.jobs (queue, next_run_at) where next_run_at is not null;
create index jobs_behind on public.jobs (queue, group_key, priority desc, seq) where blocked_by is not null;
create unique index jobs_idempotency on public.jobs
  (coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid), queue, idempotency_key)
  where idempotency_key is not null;

create table public.job_attempts (
  job_id uuid not null references public.jobs (id) on delete cascade,
  claim_id bigint not null,
  user_id uuid,
  attempt int not null,
  mode text not null,
  outcome text not null,
  error_code text,
  error_message text,
  error_details jsonb,
  worker_id text,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  primary key (job_id, claim_id)
);
comment on table public.job_attempts is 'One row for every attempt that did not simply succeed; the happy path writes none.';

create table filaviva.job_checkpoints (
  job_id uuid primary key references public.jobs (id) on delete cascade,
  checkpoint jsonb not null
);
comment on table filaviva.job_checkpoints is 'What a handler left for its next run. Private, since it may hold a provider''s upload addresses.';

create table filaviva.job_groups (
  queue text not null,
  group_key text not null,
  active_job_id uuid,
  next_at timestamptz not null,
  primary key (queue, group_key)
) with (fillfactor = 70);
create index job_groups_by_head on filaviva.job_groups (active_job_id) where active_job_id is not null;
create index job_groups_without_head on filaviva.job_groups (queue, next_at) where active_job_id is null;
comment on table filaviva.job_groups is
  'The lock and the pace of one group: at most one head (active_job_id) at a time, the next not before next_at. A row without head is there only while jobs may wait behind it or its gap runs.';

create table filaviva.claim_requests (
  request_id uuid primary key,
  job_ids uuid[] not null,
  claim_ids bigint[] not null,
  created_at timestamptz not null default clock_timestamp()
);
create index claim_requests_by_age on filaviva.claim_requests (created_at);
comment on table filaviva.claim_requests is
  'What each claim answered, for a few minutes: a caller that lost the answer asks again with the same request id.';

-- Access ----------------------------------------------------------------------------------------

alter table public.jobs enable row level security;
alter table public.job_attempts enable row level security;
alter table filaviva.job_checkpoints enable row level security;
alter table filaviva.job_groups enable row level security;
alter table filaviva.claim_requests enable row level security;

create policy "owners and operators read jobs" on public.jobs for select to authenticated
  using ((select auth.uid()) = user_id or (select filaviva.is_operator()));
create policy "owners and operators read attempts" on public.job_attempts for select to authenticated
  using ((select auth.uid()) = user_id or (select filaviva.is_operator()));
revoke all on public.jobs, public.job_attempts from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.jobs, public.job_attempts to authenticated, service_role;

alter publication supabase_realtime add table public.jobs;
