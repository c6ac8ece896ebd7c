CREATE TABLE filaviva.job_groups (
    queue text NOT NULL,
    group_key text NOT NULL,
    active_job_id uuid,
    next_at timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE filaviva.job_groups IS 'The lock and the pace of one group: at most one head (active_job_id) at a time, the next not before next_at. A row without head is there only while jobs may wait behind it or its gap runs.';

ALTER TABLE ONLY filaviva.job_groups
    ADD CONSTRAINT job_groups_pkey PRIMARY KEY (queue, group_key);

CREATE INDEX job_groups_by_head ON filaviva.job_groups USING btree (active_job_id) WHERE (active_job_id IS NOT NULL);

CREATE INDEX job_groups_without_head ON filaviva.job_groups USING btree (queue, next_at) WHERE (active_job_id IS NULL);

ALTER TABLE filaviva.job_groups ENABLE ROW LEVEL SECURITY;
