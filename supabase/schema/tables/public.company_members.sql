CREATE TABLE public.company_members (
    company_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    CONSTRAINT role_is_known CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'agent'::text])))
);

COMMENT ON TABLE public.company_members IS 'Who belongs to a company. Owners and admins change members; an agent only works.';

ALTER TABLE ONLY public.company_members
    ADD CONSTRAINT company_members_pkey PRIMARY KEY (company_id, user_id);

CREATE INDEX company_members_by_user ON public.company_members USING btree (user_id);

ALTER TABLE ONLY public.company_members
    ADD CONSTRAINT company_members_company_id_fkey FOREIGN KEY (company_id) REFERENCES public.companies(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.company_members
    ADD CONSTRAINT company_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE public.company_members ENABLE ROW LEVEL SECURITY;

CREATE POLICY "members and operators read members" ON public.company_members FOR SELECT TO authenticated USING (((company_id IN ( SELECT filaviva.my_companies() AS my_companies)) OR ( SELECT filaviva.is_operator() AS is_operator)));

GRANT SELECT ON TABLE public.company_members TO authenticated;
GRANT SELECT ON TABLE public.company_members TO service_role;
