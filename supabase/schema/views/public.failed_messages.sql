CREATE VIEW public.failed_messages WITH (security_invoker='true') AS
 SELECT id,
    user_id,
    id AS original_message_id,
        CASE
            WHEN (correlation_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'::text) THEN (correlation_id)::uuid
            ELSE NULL::uuid
        END AS correlation_id,
    kind AS message_type,
    payload,
    error_message,
    attempt AS failure_count,
    metadata,
    finished_at AS created_at
   FROM public.jobs j
  WHERE ((queue = ANY (ARRAY['webhooks'::text, 'messages'::text, 'message_retry'::text])) AND (status = 'failed'::text));

COMMENT ON VIEW public.failed_messages IS 'The dead letters of message_queue. An insert makes one of what get_next_queue_message() took; redrive_jobs() puts them back.';

CREATE TRIGGER insert_failed_message INSTEAD OF INSERT ON public.failed_messages FOR EACH ROW EXECUTE FUNCTION filaviva.insert_failed_message();

GRANT SELECT ON TABLE public.failed_messages TO authenticated;
GRANT SELECT,INSERT ON TABLE public.failed_messages TO service_role;
