CREATE TABLE filaviva.claim_requests (
    request_id uuid NOT NULL,
    job_ids uuid[] NOT NULL,
    claim_ids bigint[] NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE filaviva.claim_requests IS 'What each claim answered, for a few minutes: a caller that lost the answer asks again with the same request id.';

ALTER TABLE ONLY filaviva.claim_requests
    ADD CONSTRAINT claim_requests_pkey PRIMARY KEY (request_id);

CREATE INDEX claim_requests_by_age ON filaviva.claim_requests USING btree (created_at);

ALTER TABLE filaviva.claim_requests ENABLE ROW LEVEL SECURITY;
