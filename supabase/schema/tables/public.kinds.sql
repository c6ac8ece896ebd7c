CREATE TABLE public.kinds (
    kind text NOT NULL,
    queue text NOT NULL,
    timeout_seconds integer,
    max_attempts integer,
    user_may_enqueue boolean DEFAULT false NOT NULL,
    group_key_path text,
    CONSTRAINT group_key_path_is_paths CHECK (((length(group_key_path) <= 500) AND (group_key_path ~ '^(kind|user_id|company_id|instance_id|(payload|metadata)([.][A-Za-z0-9_-]+)+)(:(kind|user_id|company_id|instance_id|(payload|metadata)([.][A-Za-z0-9_-]+)+))*$'::text))),
    CONSTRAINT kind_is_a_name CHECK ((kind ~ '^[a-z][a-z0-9_-]{0,62}$'::text)),
    CONSTRAINT max_attempts_is_positive CHECK ((max_attempts > 0)),
    CONSTRAINT timeout_is_positive CHECK ((timeout_seconds > 0))
);

COMMENT ON TABLE public.kinds IS 'Which queue runs which kind of job. Null numbers mean the queue''s own.';

COMMENT ON COLUMN public.kinds.user_may_enqueue IS 'Whether a signed-in user may enqueue it, or the service role alone.';

COMMENT ON COLUMN public.kinds.group_key_path IS 'Where a job''s group key stands when its caller names none: a path such as instance_id or payload.conversation_id, or several with : between them. Every job must have the values. Null: such a job has no group.';

ALTER TABLE ONLY public.kinds
    ADD CONSTRAINT kinds_pkey PRIMARY KEY (kind);

CREATE INDEX kinds_by_queue ON public.kinds USING btree (queue);

ALTER TABLE ONLY public.kinds
    ADD CONSTRAINT kinds_queue_fkey FOREIGN KEY (queue) REFERENCES public.queues(name);

ALTER TABLE public.kinds ENABLE ROW LEVEL SECURITY;

CREATE POLICY "operators read kinds" ON public.kinds FOR SELECT TO authenticated USING (( SELECT filaviva.is_operator() AS is_operator));

GRANT SELECT ON TABLE public.kinds TO authenticated;
GRANT SELECT ON TABLE public.kinds TO service_role;
