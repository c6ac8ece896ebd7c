CREATE TABLE public.alert_rules (
    name text NOT NULL,
    kind text NOT NULL,
    queue text,
    max_count integer,
    max_seconds integer,
    window_minutes integer,
    enabled boolean DEFAULT true NOT NULL,
    problem text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT kind_of_rule_is_known CHECK ((kind = ANY (ARRAY['failed_jobs'::text, 'oldest_due'::text, 'no_drain'::text, 'no_drain_url'::text, 'no_tick'::text, 'net_queue'::text, 'old_transaction'::text]))),
    CONSTRAINT max_count_belongs_to_failed_jobs_and_net_queue CHECK (((max_count IS NOT NULL) = (kind = ANY (ARRAY['failed_jobs'::text, 'net_queue'::text])))),
    CONSTRAINT max_count_is_not_negative CHECK ((max_count >= 0)),
    CONSTRAINT max_seconds_belongs_to_all_but_failed_jobs CHECK (((max_seconds IS NOT NULL) = (kind <> 'failed_jobs'::text))),
    CONSTRAINT max_seconds_is_positive CHECK ((max_seconds > 0)),
    CONSTRAINT only_rules_about_jobs_name_a_queue CHECK (((queue IS NULL) OR (kind = ANY (ARRAY['failed_jobs'::text, 'oldest_due'::text, 'no_drain'::text])))),
    CONSTRAINT rule_name_is_simple CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT window_is_between_a_minute_and_a_day CHECK (((window_minutes >= 1) AND (window_minutes <= 1440))),
    CONSTRAINT window_minutes_belongs_to_failed_jobs CHECK (((window_minutes IS NOT NULL) = (kind = 'failed_jobs'::text)))
);

COMMENT ON TABLE public.alert_rules IS 'When operators want to know. Changed by set_alert_rule().';

COMMENT ON COLUMN public.alert_rules.queue IS 'The queue it is about. Null: every queue, each by itself.';

COMMENT ON COLUMN public.alert_rules.max_count IS 'failed_jobs: fires above so many within window_minutes. net_queue: above so many requests that wait.';

COMMENT ON COLUMN public.alert_rules.problem IS 'Why the last check of this rule failed; null while it can be checked.';

ALTER TABLE ONLY public.alert_rules
    ADD CONSTRAINT alert_rules_pkey PRIMARY KEY (name);

CREATE INDEX alert_rules_by_queue ON public.alert_rules USING btree (queue);

ALTER TABLE ONLY public.alert_rules
    ADD CONSTRAINT alert_rules_queue_fkey FOREIGN KEY (queue) REFERENCES public.queues(name);

ALTER TABLE public.alert_rules ENABLE ROW LEVEL SECURITY;

CREATE POLICY "operators read alert rules" ON public.alert_rules FOR SELECT TO authenticated USING (( SELECT filaviva.is_operator() AS is_operator));

GRANT SELECT ON TABLE public.alert_rules TO authenticated;
GRANT SELECT ON TABLE public.alert_rules TO service_role;
