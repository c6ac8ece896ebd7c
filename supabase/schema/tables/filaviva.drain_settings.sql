CREATE TABLE filaviva.drain_settings (
    only_row boolean DEFAULT true NOT NULL,
    call_timeout_ms integer DEFAULT 2000 NOT NULL,
    CONSTRAINT call_timeout_is_positive CHECK ((call_timeout_ms > 0)),
    CONSTRAINT there_is_one_row CHECK (only_row)
);

COMMENT ON COLUMN filaviva.drain_settings.call_timeout_ms IS 'How long pg_net waits for the drain''s answer, which nobody needs: one slow answer holds up every request of the database.';

ALTER TABLE ONLY filaviva.drain_settings
    ADD CONSTRAINT drain_settings_pkey PRIMARY KEY (only_row);

ALTER TABLE filaviva.drain_settings ENABLE ROW LEVEL SECURITY;
