CREATE TABLE filaviva.rate_limit_hits (
    limiter text NOT NULL,
    key text NOT NULL,
    at timestamp with time zone NOT NULL,
    job_id uuid
);

COMMENT ON TABLE filaviva.rate_limit_hits IS 'One row a hit; kept while it counts.';

CREATE INDEX rate_limit_hits_by_age ON filaviva.rate_limit_hits USING brin (at);

CREATE INDEX rate_limit_hits_by_job ON filaviva.rate_limit_hits USING btree (job_id) WHERE (job_id IS NOT NULL);

CREATE INDEX rate_limit_hits_by_key ON filaviva.rate_limit_hits USING btree (limiter, key, at);

ALTER TABLE filaviva.rate_limit_hits ENABLE ROW LEVEL SECURITY;
