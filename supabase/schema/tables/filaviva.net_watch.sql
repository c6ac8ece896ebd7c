CREATE TABLE filaviva.net_watch (
    only_row boolean DEFAULT true NOT NULL,
    first_id bigint,
    seen_at timestamp with time zone,
    CONSTRAINT there_is_one_row CHECK (only_row)
);

COMMENT ON TABLE filaviva.net_watch IS 'The request at the head of pg_net''s queue, and when it was first seen there: pg_net itself notes no time.';

ALTER TABLE ONLY filaviva.net_watch
    ADD CONSTRAINT net_watch_pkey PRIMARY KEY (only_row);

ALTER TABLE filaviva.net_watch ENABLE ROW LEVEL SECURITY;
