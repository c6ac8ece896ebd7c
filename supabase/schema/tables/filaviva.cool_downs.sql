CREATE TABLE filaviva.cool_downs (
    limiter text NOT NULL,
    key text NOT NULL,
    until timestamp with time zone NOT NULL,
    reason text DEFAULT ''::text NOT NULL
);

COMMENT ON TABLE filaviva.cool_downs IS 'Keys of limits that nothing is admitted under before a time, since the other side said so.';

ALTER TABLE ONLY filaviva.cool_downs
    ADD CONSTRAINT cool_downs_pkey PRIMARY KEY (limiter, key);

CREATE INDEX cool_downs_by_time ON filaviva.cool_downs USING btree (until);

ALTER TABLE ONLY filaviva.cool_downs
    ADD CONSTRAINT cool_downs_limiter_fkey FOREIGN KEY (limiter) REFERENCES public.rate_limiters(name) ON DELETE CASCADE;

ALTER TABLE filaviva.cool_downs ENABLE ROW LEVEL SECURITY;
