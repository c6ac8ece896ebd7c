CREATE TABLE filaviva.prune_cursor (
    only_row boolean DEFAULT true NOT NULL,
    after_seq bigint DEFAULT 0 NOT NULL,
    CONSTRAINT there_is_one_cursor CHECK (only_row)
);

COMMENT ON TABLE filaviva.prune_cursor IS 'How far the walk of retention has read jobs; 0 when it starts over.';

ALTER TABLE ONLY filaviva.prune_cursor
    ADD CONSTRAINT prune_cursor_pkey PRIMARY KEY (only_row);

ALTER TABLE filaviva.prune_cursor ENABLE ROW LEVEL SECURITY;
