CREATE TABLE filaviva.due_jobs (
    queue text NOT NULL,
    priority smallint NOT NULL,
    turn bigint NOT NULL,
    seq bigint NOT NULL,
    job_id uuid NOT NULL,
    owner uuid NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE filaviva.due_jobs IS 'The line of a queue: jobs that may run now, by priority, turn and order of enqueue.';

COMMENT ON COLUMN filaviva.due_jobs.owner IS 'The job''s user; all zeros for jobs of nobody.';

CREATE INDEX due_jobs_by_owner ON filaviva.due_jobs USING btree (queue, owner, priority, turn);

CREATE UNIQUE INDEX due_jobs_in_order ON filaviva.due_jobs USING btree (queue, priority DESC, turn, seq);

ALTER TABLE filaviva.due_jobs ENABLE ROW LEVEL SECURITY;
