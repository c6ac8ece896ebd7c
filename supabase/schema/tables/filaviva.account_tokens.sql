CREATE TABLE filaviva.account_tokens (
    account_id uuid NOT NULL,
    token_version bigint DEFAULT 1 NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    refresh_until timestamp with time zone
);

COMMENT ON TABLE filaviva.account_tokens IS 'Of each account: how often its tokens were stored, and who may renew them now. The tokens are in the vault.';

COMMENT ON COLUMN filaviva.account_tokens.token_version IS 'Rises whenever tokens are stored. Who was refused with an older version needs only to read again.';

COMMENT ON COLUMN filaviva.account_tokens.fence IS 'The number of the latest right to renew; an older one stores nothing.';

COMMENT ON COLUMN filaviva.account_tokens.refresh_until IS 'Until when that right keeps others waiting; null when nobody renews.';

ALTER TABLE ONLY filaviva.account_tokens
    ADD CONSTRAINT account_tokens_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY filaviva.account_tokens
    ADD CONSTRAINT account_tokens_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.social_accounts(id) ON DELETE CASCADE;

ALTER TABLE filaviva.account_tokens ENABLE ROW LEVEL SECURITY;
