CREATE TABLE public.companies (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    CONSTRAINT company_has_a_name CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

COMMENT ON TABLE public.companies IS 'A company whose members work together. Read by its members.';

ALTER TABLE ONLY public.companies
    ADD CONSTRAINT companies_pkey PRIMARY KEY (id);

ALTER TABLE public.companies ENABLE ROW LEVEL SECURITY;

CREATE POLICY "members and operators read companies" ON public.companies FOR SELECT TO authenticated USING (((id IN ( SELECT filaviva.my_companies() AS my_companies)) OR ( SELECT filaviva.is_operator() AS is_operator)));

GRANT SELECT ON TABLE public.companies TO authenticated;
GRANT SELECT ON TABLE public.companies TO service_role;
