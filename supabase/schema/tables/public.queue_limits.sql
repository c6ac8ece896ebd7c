CREATE TABLE public.queue_limits (
    queue text NOT NULL,
    limiter text NOT NULL,
    key text NOT NULL,
    CONSTRAINT key_is_a_path CHECK (((key = ANY (ARRAY['queue'::text, 'kind'::text, 'user_id'::text, 'company_id'::text, 'instance_id'::text, 'group_key'::text])) OR (key ~ '^(payload|metadata)([.][A-Za-z0-9_-]+)+$'::text)))
);

COMMENT ON TABLE public.queue_limits IS 'Which limits the jobs of a queue are under, and where in a job the key stands. A job without the key is not under the limit.';

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
