CREATE TABLE filaviva.sweep_cursor (
    only_row boolean DEFAULT true NOT NULL,
    after_seq bigint DEFAULT 0 NOT NULL,
    CONSTRAINT there_is_one_cursor CHECK (only_row)
);

COMMENT ON TABLE filaviva.sweep_cursor IS 'How far the sweep has read jobs; it starts over when it reaches the end.';

ALTER TABLE ONLY filaviva.sweep_cursor
    ADD CONSTRAINT sweep_cursor_pkey PRIMARY KEY (only_row);

ALTER TABLE filaviva.sweep_cursor ENABLE ROW LEVEL SECURITY;
