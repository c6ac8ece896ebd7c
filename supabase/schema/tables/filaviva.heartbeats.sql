CREATE TABLE filaviva.heartbeats (
    name text NOT NULL,
    at timestamp with time zone NOT NULL,
    problem text
);

COMMENT ON TABLE filaviva.heartbeats IS 'When something that must run again and again last did, and what went wrong in that run; null when nothing did.';

ALTER TABLE ONLY filaviva.heartbeats
    ADD CONSTRAINT heartbeats_pkey PRIMARY KEY (name);

ALTER TABLE filaviva.heartbeats ENABLE ROW LEVEL SECURITY;
