CREATE TABLE public.social_accounts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    platform text NOT NULL,
    external_id text NOT NULL,
    display_name text NOT NULL,
    status text DEFAULT 'connected'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    kind text DEFAULT ''::text NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    scopes jsonb DEFAULT '[]'::jsonb NOT NULL,
    token_expires_at timestamp with time zone,
    reconnect_reason text,
    CONSTRAINT extra_holds_no_secret CHECK ((NOT filaviva.holds_secret(extra))),
    CONSTRAINT extra_is_an_object CHECK ((jsonb_typeof(extra) = 'object'::text)),
    CONSTRAINT only_an_account_to_reconnect_says_why CHECK (((reconnect_reason IS NULL) OR ((status = 'reconnect'::text) AND (reconnect_reason ~ '^[a-z_]{1,63}$'::text)))),
    CONSTRAINT platform_is_known CHECK ((platform = ANY (ARRAY['tiktok'::text, 'facebook'::text, 'instagram'::text, 'youtube'::text, 'threads'::text, 'x'::text, 'linkedin'::text]))),
    CONSTRAINT scopes_are_a_list CHECK ((jsonb_typeof(scopes) = 'array'::text)),
    CONSTRAINT status_is_known CHECK ((status = ANY (ARRAY['connected'::text, 'reconnect'::text])))
);

COMMENT ON TABLE public.social_accounts IS 'A user''s connected accounts. Their tokens are in the vault under social_account:<id>.';

COMMENT ON COLUMN public.social_accounts.status IS 'reconnect: the platform no longer accepts the tokens; the user must connect again.';

COMMENT ON COLUMN public.social_accounts.kind IS 'Which of the platform''s sorts of account it is, such as LinkedIn''s person or organization; empty where there is one sort.';

COMMENT ON COLUMN public.social_accounts.extra IS 'Further facts from the platform, none of them secret: the id of a page, the urn of an organization.';

COMMENT ON COLUMN public.social_accounts.scopes IS 'The rights that the user granted, by the platform''s names.';

COMMENT ON COLUMN public.social_accounts.token_expires_at IS 'When the access token ends; null where that is not known. A worker renews it in time where the platform allows it.';

COMMENT ON COLUMN public.social_accounts.reconnect_reason IS 'Why the account must be connected again, as a code of docs/accounts.md.';

ALTER TABLE ONLY public.social_accounts
    ADD CONSTRAINT a_user_has_one_account_a_platform UNIQUE (user_id, platform);

ALTER TABLE ONLY public.social_accounts
    ADD CONSTRAINT social_accounts_pkey PRIMARY KEY (id);

CREATE TRIGGER forget_account_secret AFTER DELETE ON public.social_accounts FOR EACH ROW EXECUTE FUNCTION filaviva.forget_account_secret();

ALTER TABLE ONLY public.social_accounts
    ADD CONSTRAINT social_accounts_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "owners read their accounts" ON public.social_accounts FOR SELECT TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.social_accounts ENABLE ROW LEVEL SECURITY;

GRANT SELECT ON TABLE public.social_accounts TO authenticated;
GRANT SELECT ON TABLE public.social_accounts TO service_role;
