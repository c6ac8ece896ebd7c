CREATE TABLE filaviva.queue_samples (
    at timestamp with time zone NOT NULL,
    queue text NOT NULL,
    size bigint,
    completed bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    cancelled bigint DEFAULT 0 NOT NULL,
    unconfirmed bigint DEFAULT 0 NOT NULL,
    again bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE filaviva.queue_samples IS 'What ended within ten seconds from `at`, and the size of the queue in the buckets where it was taken. Kept for a day.';

ALTER TABLE ONLY filaviva.queue_samples
    ADD CONSTRAINT queue_samples_pkey PRIMARY KEY (at, queue);

ALTER TABLE filaviva.queue_samples ENABLE ROW LEVEL SECURITY;
