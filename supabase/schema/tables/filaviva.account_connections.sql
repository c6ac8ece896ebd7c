CREATE TABLE filaviva.account_connections (
    state_hash text NOT NULL,
    user_id uuid NOT NULL,
    platform text NOT NULL,
    browser_hash text NOT NULL,
    verifier text NOT NULL,
    wanted text,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE filaviva.account_connections IS 'Sign-ins at platforms that users have begun and not finished; each is taken once, within ten minutes.';

COMMENT ON COLUMN filaviva.account_connections.verifier IS 'The PKCE verifier, which the platform asks for with the code.';

COMMENT ON COLUMN filaviva.account_connections.wanted IS 'The page, channel or organization that the user wants, by its id; null when any will do.';

ALTER TABLE ONLY filaviva.account_connections
    ADD CONSTRAINT account_connections_pkey PRIMARY KEY (state_hash);

CREATE INDEX account_connections_by_end ON filaviva.account_connections USING btree (expires_at);

CREATE INDEX account_connections_by_user ON filaviva.account_connections USING btree (user_id, expires_at);

ALTER TABLE ONLY filaviva.account_connections
    ADD CONSTRAINT account_connections_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE filaviva.account_connections ENABLE ROW LEVEL SECURITY;
