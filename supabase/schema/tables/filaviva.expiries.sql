CREATE TABLE filaviva.expiries (
    expires_at timestamp with time zone NOT NULL,
    job_id uuid NOT NULL
);

COMMENT ON TABLE filaviva.expiries IS 'When jobs expire; a row goes when its time has come. Of its own, since an index on jobs would keep every job that ever had one.';

ALTER TABLE ONLY filaviva.expiries
    ADD CONSTRAINT expiries_pkey PRIMARY KEY (expires_at, job_id);

ALTER TABLE filaviva.expiries ENABLE ROW LEVEL SECURITY;
