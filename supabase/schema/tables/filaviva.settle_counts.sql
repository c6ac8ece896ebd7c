CREATE TABLE filaviva.settle_counts (
    queue text NOT NULL,
    at timestamp with time zone NOT NULL,
    completed integer NOT NULL,
    failed integer NOT NULL,
    cancelled integer NOT NULL,
    unconfirmed integer NOT NULL,
    again integer NOT NULL
);

COMMENT ON TABLE filaviva.settle_counts IS 'How many claims of a queue ended in which way, a row for each settle call.';

COMMENT ON COLUMN filaviva.settle_counts.again IS 'Claims that ended in another wait: retries and snoozes.';

CREATE INDEX settle_counts_by_time ON filaviva.settle_counts USING btree (at);

ALTER TABLE filaviva.settle_counts ENABLE ROW LEVEL SECURITY;
