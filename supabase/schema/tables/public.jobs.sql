CREATE TABLE public.jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    seq bigint DEFAULT nextval('filaviva.job_seq'::regclass) NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    user_id uuid,
    company_id uuid,
    instance_id text,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    group_key text,
    idempotency_key text,
    body_hash bytea,
    correlation_id text,
    status text DEFAULT 'pending'::text NOT NULL,
    mode text DEFAULT 'run'::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    max_attempts integer NOT NULL,
    snoozes integer DEFAULT 0 NOT NULL,
    timeout_seconds integer NOT NULL,
    scheduled_at timestamp with time zone,
    next_run_at timestamp with time zone,
    blocked_by text,
    fair_tag bigint,
    msg_id bigint,
    waiting_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    claim_id bigint,
    worker_id text,
    lease_expires_at timestamp with time zone,
    committed_at timestamp with time zone,
    reconcilable boolean DEFAULT false NOT NULL,
    cancel_requested_at timestamp with time zone,
    progress numeric,
    progress_note text,
    result jsonb,
    error_code text,
    error_message text,
    version bigint DEFAULT 1 NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT a_finished_job_has_its_time CHECK (((status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text, 'unconfirmed'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT a_job_waits_in_one_place CHECK ((num_nonnulls(next_run_at, blocked_by) <=
CASE
    WHEN ((msg_id IS NULL) AND (finished_at IS NULL)) THEN 1
    ELSE 0
END)),
    CONSTRAINT a_lease_belongs_to_a_processing_job CHECK (((status = 'processing'::text) = (lease_expires_at IS NOT NULL))),
    CONSTRAINT a_processing_job_has_its_claim CHECK (((status <> 'processing'::text) OR ((claim_id IS NOT NULL) AND (msg_id IS NOT NULL) AND (started_at IS NOT NULL)))),
    CONSTRAINT a_waiting_job_has_its_place CHECK (((finished_at IS NOT NULL) OR (msg_id IS NOT NULL) OR (num_nonnulls(next_run_at, blocked_by, fair_tag) > 0))),
    CONSTRAINT attempt_is_not_negative CHECK ((attempt >= 0)),
    CONSTRAINT max_attempts_is_positive CHECK ((max_attempts > 0)),
    CONSTRAINT mode_is_run_or_reconcile CHECK ((mode = ANY (ARRAY['run'::text, 'reconcile'::text]))),
    CONSTRAINT priority_is_between_0_and_10 CHECK (((priority >= 0) AND (priority <= 10))),
    CONSTRAINT progress_is_between_0_and_100 CHECK (((progress >= (0)::numeric) AND (progress <= (100)::numeric))),
    CONSTRAINT status_is_known CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'retrying'::text, 'completed'::text, 'failed'::text, 'cancelled'::text, 'unconfirmed'::text])))
)
WITH (fillfactor='40');

COMMENT ON TABLE public.jobs IS 'One unit of work a row. Read under RLS by its owner; changed by the engine''s functions alone.';

COMMENT ON COLUMN public.jobs.seq IS 'Order of enqueue.';

COMMENT ON COLUMN public.jobs.priority IS 'Higher runs sooner: 0 to 10.';

COMMENT ON COLUMN public.jobs.group_key IS 'Jobs of one queue that share it run one at a time, in order.';

COMMENT ON COLUMN public.jobs.mode IS 'reconcile: a committed call ended in an unknown way, and the next claim finds out instead of running again.';

COMMENT ON COLUMN public.jobs.attempt IS 'Number of the current or last execution; 1 on the first claim. Snoozes and releases do not count.';

COMMENT ON COLUMN public.jobs.max_attempts IS 'Executions allowed, the first included.';

COMMENT ON COLUMN public.jobs.scheduled_at IS 'The user''s wish: not before this time. Never rewritten.';

COMMENT ON COLUMN public.jobs.next_run_at IS 'Set while the job waits for a time.';

COMMENT ON COLUMN public.jobs.blocked_by IS 'Set while the job waits behind another, group:<key>, or for a limit, limit:<limiter>:<key>.';

COMMENT ON COLUMN public.jobs.fair_tag IS 'Its turn among the due jobs of its queue and priority; given anew after a failed attempt. A job that waits for no time and behind nobody, without a message, stands in the line.';

COMMENT ON COLUMN public.jobs.msg_id IS 'The pgmq message behind the job. Stays when the job is over, so that settling rewrites no index.';

COMMENT ON COLUMN public.jobs.claim_id IS 'Number of the last claim; (id, claim_id) is the right to settle it.';

COMMENT ON COLUMN public.jobs.committed_at IS 'When the irreversible call was about to be made.';

COMMENT ON COLUMN public.jobs.version IS 'Rises by one at every change: never show an older row over a newer one.';

COMMENT ON COLUMN public.jobs.expires_at IS 'No attempt starts after this time, and no point of no return is passed: a job that still waits then is cancelled.';

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

CREATE INDEX jobs_behind ON public.jobs USING btree (queue, blocked_by, priority DESC, seq) WHERE (blocked_by IS NOT NULL);

CREATE UNIQUE INDEX jobs_by_seq ON public.jobs USING btree (seq);

CREATE INDEX jobs_by_user ON public.jobs USING btree (user_id, seq);

CREATE UNIQUE INDEX jobs_idempotency ON public.jobs USING btree (COALESCE(user_id, '00000000-0000-0000-0000-000000000000'::uuid), queue, idempotency_key) WHERE (idempotency_key IS NOT NULL);

CREATE INDEX jobs_later ON public.jobs USING btree (queue, next_run_at) WHERE (next_run_at IS NOT NULL);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE public.jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY "owners, colleagues and operators read jobs" ON public.jobs FOR SELECT TO authenticated USING (((( SELECT auth.uid() AS uid) = user_id) OR (company_id IN ( SELECT filaviva.my_companies() AS my_companies)) OR ( SELECT filaviva.is_operator() AS is_operator)));

GRANT SELECT ON TABLE public.jobs TO authenticated;
GRANT SELECT ON TABLE public.jobs TO service_role;
