CREATE TABLE filaviva.workers (
    worker_id text NOT NULL,
    queues text[],
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    stopping boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE filaviva.workers IS 'The long-running workers. Each renews its row every few seconds; who was not seen for 15 seconds no longer counts.';

COMMENT ON COLUMN filaviva.workers.queues IS 'The queues that it serves; null for all.';

COMMENT ON COLUMN filaviva.workers.stopping IS 'It claims no more, and lives only until its jobs have ended.';

ALTER TABLE ONLY filaviva.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (worker_id);

ALTER TABLE filaviva.workers ENABLE ROW LEVEL SECURITY;
