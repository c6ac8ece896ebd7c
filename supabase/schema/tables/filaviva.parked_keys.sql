CREATE TABLE filaviva.parked_keys (
    queue text NOT NULL,
    limiter text NOT NULL,
    key text NOT NULL,
    next_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE filaviva.parked_keys IS 'Keys under which jobs of a queue are parked, and when the next of them may go.';

ALTER TABLE ONLY filaviva.parked_keys
    ADD CONSTRAINT parked_keys_pkey PRIMARY KEY (queue, limiter, key);

CREATE INDEX parked_keys_by_time ON filaviva.parked_keys USING btree (queue, next_at);

ALTER TABLE filaviva.parked_keys ENABLE ROW LEVEL SECURITY;
