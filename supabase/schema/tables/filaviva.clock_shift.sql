CREATE TABLE filaviva.clock_shift (
    only_row boolean DEFAULT true NOT NULL,
    shift interval NOT NULL,
    CONSTRAINT there_is_one_clock CHECK (only_row)
);

COMMENT ON TABLE filaviva.clock_shift IS 'Empty in production. A test puts one row here to move the engine''s clock for every session.';

ALTER TABLE ONLY filaviva.clock_shift
    ADD CONSTRAINT clock_shift_pkey PRIMARY KEY (only_row);

ALTER TABLE filaviva.clock_shift ENABLE ROW LEVEL SECURITY;
