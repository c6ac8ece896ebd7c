CREATE TABLE public.rate_limiters (
    name text NOT NULL,
    max_hits integer NOT NULL,
    window_seconds integer NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    CONSTRAINT limiter_name_is_simple CHECK ((name ~ '^[a-z][a-z0-9_]{0,46}$'::text)),
    CONSTRAINT max_hits_is_positive CHECK ((max_hits > 0)),
    CONSTRAINT window_is_between_a_second_and_a_day CHECK (((window_seconds >= 1) AND (window_seconds <= 86400)))
);

COMMENT ON TABLE public.rate_limiters IS 'Limits by name: at most max_hits in any window_seconds for one key. Changed by set_rate_limiter() while everything runs.';

ALTER TABLE ONLY public.rate_limiters
    ADD CONSTRAINT rate_limiters_pkey PRIMARY KEY (name);

ALTER TABLE public.rate_limiters ENABLE ROW LEVEL SECURITY;

CREATE POLICY "users read rate limiters" ON public.rate_limiters FOR SELECT TO authenticated USING (true);

GRANT SELECT ON TABLE public.rate_limiters TO authenticated;
GRANT SELECT ON TABLE public.rate_limiters TO service_role;
