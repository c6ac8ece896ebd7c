CREATE TABLE public.queues (
    name text NOT NULL,
    concurrency integer,
    lease_seconds integer DEFAULT 30 NOT NULL,
    stall_seconds integer DEFAULT 1800 NOT NULL,
    on_stall text DEFAULT 'retry'::text NOT NULL,
    timeout_seconds integer DEFAULT 60 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    max_snoozes integer DEFAULT 200 NOT NULL,
    backoff_base_seconds numeric DEFAULT 2 NOT NULL,
    backoff_factor numeric DEFAULT 2 NOT NULL,
    backoff_max_seconds numeric DEFAULT 600 NOT NULL,
    gap_min_ms integer DEFAULT 0 NOT NULL,
    gap_max_ms integer DEFAULT 0 NOT NULL,
    window_size integer DEFAULT 10000 NOT NULL,
    max_drains integer DEFAULT 1 NOT NULL,
    retention_completed interval DEFAULT '7 days'::interval NOT NULL,
    retention_failed interval DEFAULT '30 days'::interval NOT NULL,
    paused_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT backoff_base_is_not_negative CHECK ((backoff_base_seconds >= (0)::numeric)),
    CONSTRAINT backoff_factor_is_at_least_one CHECK ((backoff_factor >= (1)::numeric)),
    CONSTRAINT backoff_is_a_number CHECK (((backoff_base_seconds < 'NaN'::numeric) AND (backoff_factor < 'NaN'::numeric) AND (backoff_max_seconds < 'NaN'::numeric))),
    CONSTRAINT backoff_max_is_not_negative CHECK ((backoff_max_seconds >= (0)::numeric)),
    CONSTRAINT concurrency_is_positive CHECK ((concurrency > 0)),
    CONSTRAINT gap_is_not_negative CHECK ((gap_min_ms >= 0)),
    CONSTRAINT gap_max_is_not_below_gap_min CHECK ((gap_max_ms >= gap_min_ms)),
    CONSTRAINT lease_is_between_5_and_300_seconds CHECK (((lease_seconds >= 5) AND (lease_seconds <= 300))),
    CONSTRAINT max_attempts_is_positive CHECK ((max_attempts > 0)),
    CONSTRAINT max_drains_is_positive CHECK ((max_drains > 0)),
    CONSTRAINT max_snoozes_is_not_negative CHECK ((max_snoozes >= 0)),
    CONSTRAINT on_stall_is_retry_or_fail CHECK ((on_stall = ANY (ARRAY['retry'::text, 'fail'::text]))),
    CONSTRAINT queue_name_fits_pgmq CHECK ((name ~ '^[a-z][a-z0-9_]{0,46}$'::text)),
    CONSTRAINT stall_is_at_most_30_days CHECK ((stall_seconds <= 2592000)),
    CONSTRAINT stall_is_positive CHECK ((stall_seconds > 0)),
    CONSTRAINT timeout_is_positive CHECK ((timeout_seconds > 0)),
    CONSTRAINT window_is_not_negative CHECK ((window_size >= 0))
);

COMMENT ON TABLE public.queues IS 'One row a queue; its numbers may be changed while it runs. Made by create_queue().';

COMMENT ON COLUMN public.queues.concurrency IS 'How many of its jobs may run at once over all workers. Null: no cap.';

COMMENT ON COLUMN public.queues.lease_seconds IS 'How long a claim holds without being renewed. A live worker renews it every third of this.';

COMMENT ON COLUMN public.queues.stall_seconds IS 'Outer bound on one claim since started_at, over all renewals of its lease; then on_stall decides.';

COMMENT ON COLUMN public.queues.max_attempts IS 'Attempts in all, the first included. Copied into a job when it is enqueued.';

COMMENT ON COLUMN public.queues.gap_min_ms IS 'Least pause between two jobs of one group; the pause is drawn evenly between gap_min_ms and gap_max_ms.';

COMMENT ON COLUMN public.queues.window_size IS 'How many ready jobs pgmq may hold ahead of the workers; what is above waits in jobs, where waiting costs nothing.';

COMMENT ON COLUMN public.queues.max_drains IS 'How many drains one tick may start for this queue.';

COMMENT ON COLUMN public.queues.paused_at IS 'Set while nothing of this queue is claimed; what runs goes on. See pause_queue().';

ALTER TABLE ONLY public.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);

CREATE POLICY "operators read queues" ON public.queues FOR SELECT TO authenticated USING (( SELECT filaviva.is_operator() AS is_operator));

ALTER TABLE public.queues ENABLE ROW LEVEL SECURITY;

GRANT SELECT ON TABLE public.queues TO authenticated;
GRANT SELECT ON TABLE public.queues TO service_role;
