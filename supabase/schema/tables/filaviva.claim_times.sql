CREATE TABLE filaviva.claim_times (
    queue text NOT NULL,
    claimed_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE filaviva.claim_times IS 'When somebody last asked a queue for work, to the second: how people learn that no drain comes.';

ALTER TABLE ONLY filaviva.claim_times
    ADD CONSTRAINT claim_times_pkey PRIMARY KEY (queue);

ALTER TABLE filaviva.claim_times ENABLE ROW LEVEL SECURITY;
