CREATE TABLE filaviva.schedules (
    name text NOT NULL,
    schedule text NOT NULL,
    command text NOT NULL
);

COMMENT ON TABLE filaviva.schedules IS 'Every entry of cron that the engine needs. A migration that needs another inserts it here and calls schedule_all().';

ALTER TABLE ONLY filaviva.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (name);

ALTER TABLE filaviva.schedules ENABLE ROW LEVEL SECURITY;
