CREATE VIEW public.message_queue WITH (security_invoker='true') AS
 SELECT id,
    user_id,
        CASE
            WHEN (correlation_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'::text) THEN (correlation_id)::uuid
            ELSE NULL::uuid
        END AS correlation_id,
    kind AS message_type,
    payload,
    metadata,
    status,
    (priority)::integer AS priority,
    attempt AS retry_count,
    max_attempts AS max_retries,
    error_message,
    created_at,
    COALESCE(next_run_at, scheduled_at) AS scheduled_at,
    started_at AS processed_at
   FROM public.jobs j
  WHERE (queue = ANY (ARRAY['webhooks'::text, 'messages'::text, 'message_retry'::text]));

COMMENT ON VIEW public.message_queue IS 'Chat messages and webhooks. get_next_queue_message() takes the next; an update of status says how it ended.';

CREATE TRIGGER update_message INSTEAD OF UPDATE ON public.message_queue FOR EACH ROW EXECUTE FUNCTION filaviva.update_message();

GRANT SELECT ON TABLE public.message_queue TO authenticated;
GRANT SELECT,UPDATE ON TABLE public.message_queue TO service_role;
