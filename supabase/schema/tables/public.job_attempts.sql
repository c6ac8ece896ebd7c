CREATE TABLE public.job_attempts (
    job_id uuid NOT NULL,
    claim_id bigint NOT NULL,
    user_id uuid,
    attempt integer NOT NULL,
    mode text NOT NULL,
    outcome text NOT NULL,
    error_code text,
    error_message text,
    error_details jsonb,
    worker_id text,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.job_attempts IS 'One row for every attempt that did not simply succeed; the happy path writes none.';

ALTER TABLE ONLY public.job_attempts
    ADD CONSTRAINT job_attempts_pkey PRIMARY KEY (job_id, claim_id);

ALTER TABLE ONLY public.job_attempts
    ADD CONSTRAINT job_attempts_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;

ALTER TABLE public.job_attempts ENABLE ROW LEVEL SECURITY;

CREATE POLICY "owners and operators read attempts" ON public.job_attempts FOR SELECT TO authenticated USING (((( SELECT auth.uid() AS uid) = user_id) OR ( SELECT filaviva.is_operator() AS is_operator)));

GRANT SELECT ON TABLE public.job_attempts TO authenticated;
GRANT SELECT ON TABLE public.job_attempts TO service_role;
