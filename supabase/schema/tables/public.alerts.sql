CREATE TABLE public.alerts (
    id bigint NOT NULL,
    rule text NOT NULL,
    kind text NOT NULL,
    queue text,
    message text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    version bigint DEFAULT 1 NOT NULL
);

COMMENT ON TABLE public.alerts IS 'One row for as long as a rule fires for a queue; resolved_at is set when it is over. Message and details tell what was seen first.';

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (id);

CREATE INDEX alerts_by_rule ON public.alerts USING btree (rule);

CREATE UNIQUE INDEX one_open_alert_a_rule_and_queue ON public.alerts USING btree (rule, queue) NULLS NOT DISTINCT WHERE (resolved_at IS NULL);

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_rule_fkey FOREIGN KEY (rule) REFERENCES public.alert_rules(name) ON DELETE CASCADE;

ALTER TABLE public.alerts ENABLE ROW LEVEL SECURITY;

CREATE POLICY "operators read alerts" ON public.alerts FOR SELECT TO authenticated USING (( SELECT filaviva.is_operator() AS is_operator));

GRANT SELECT ON TABLE public.alerts TO authenticated;
GRANT SELECT ON TABLE public.alerts TO service_role;
