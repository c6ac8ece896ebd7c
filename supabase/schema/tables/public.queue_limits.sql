CREATE TABLE public.queue_limits (
    queue text NOT NULL,
    limiter text NOT NULL,
    key text NOT NULL,
    counts text DEFAULT 'claims'::text NOT NULL,
    CONSTRAINT counts_is_known CHECK ((counts = ANY (ARRAY['claims'::text, 'jobs'::text]))),
    CONSTRAINT key_is_paths CHECK (filaviva.is_limit_key(key))
);

COMMENT ON TABLE public.queue_limits IS 'Which limits the jobs of a queue are under, and where in a job the key stands. A job without the key is not under the limit.';

COMMENT ON COLUMN public.queue_limits.key IS 'A path such as instance_id or payload.platform; several joined with +; path=value holds only jobs that have the value there.';

COMMENT ON COLUMN public.queue_limits.counts IS 'claims: each claim is a hit. jobs: a job is one hit in a window however often it is claimed, and is not under the limit any more past its point of no return.';

ALTER TABLE ONLY public.queue_limits
    ADD CONSTRAINT queue_limits_pkey PRIMARY KEY (queue, limiter, key);

CREATE INDEX queue_limits_by_limiter ON public.queue_limits USING btree (limiter);

ALTER TABLE ONLY public.queue_limits
    ADD CONSTRAINT queue_limits_limiter_fkey FOREIGN KEY (limiter) REFERENCES public.rate_limiters(name);

ALTER TABLE ONLY public.queue_limits
    ADD CONSTRAINT queue_limits_queue_fkey FOREIGN KEY (queue) REFERENCES public.queues(name);

CREATE POLICY "operators read queue limits" ON public.queue_limits FOR SELECT TO authenticated USING (( SELECT filaviva.is_operator() AS is_operator));

ALTER TABLE public.queue_limits ENABLE ROW LEVEL SECURITY;

GRANT SELECT ON TABLE public.queue_limits TO authenticated;
GRANT SELECT ON TABLE public.queue_limits TO service_role;
