CREATE TABLE filaviva.job_checkpoints (
    job_id uuid NOT NULL,
    checkpoint jsonb NOT NULL
);

COMMENT ON TABLE filaviva.job_checkpoints IS 'What a handler left for its next run. Private, since it may hold a provider''s upload addresses.';

ALTER TABLE ONLY filaviva.job_checkpoints
    ADD CONSTRAINT job_checkpoints_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY filaviva.job_checkpoints
    ADD CONSTRAINT job_checkpoints_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;

ALTER TABLE filaviva.job_checkpoints ENABLE ROW LEVEL SECURITY;
