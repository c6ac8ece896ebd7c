CREATE VIEW public.message_queue_items WITH (security_invoker='true') AS
 SELECT id,
    user_id,
    COALESCE(instance_id, (payload ->> 'instance_id'::text)) AS instance,
    COALESCE((metadata ->> 'chat_id'::text), (payload ->> 'contato_id'::text)) AS "chatId",
        CASE
            WHEN ((metadata ->> 'client_id'::text) ~ '^[0-9]{1,9}$'::text) THEN ((metadata ->> 'client_id'::text))::integer
            ELSE NULL::integer
        END AS "clientId",
        CASE status
            WHEN 'retrying'::text THEN 'PENDING'::text
            WHEN 'unconfirmed'::text THEN 'FAILED'::text
            ELSE upper(status)
        END AS status,
    (priority)::integer AS priority,
    payload,
    COALESCE(((metadata -> 'is_group'::text) = 'true'::jsonb), false) AS "isGroup",
    GREATEST((attempt -
        CASE
            WHEN (status = ANY (ARRAY['processing'::text, 'completed'::text])) THEN 1
            ELSE 0
        END), 0) AS "retryCount",
    max_attempts AS "maxRetries",
        CASE status
            WHEN 'unconfirmed'::text THEN COALESCE(error_message, 'Nobody can tell whether the message was sent.'::text)
            ELSE error_message
        END AS error,
    created_at AS "createdAt",
    updated_at AS "updatedAt",
    started_at AS "processingStartedAt",
    finished_at AS "processedAt",
    created_at,
    updated_at,
    started_at AS processing_started_at,
    finished_at AS processed_at
   FROM public.jobs j
  WHERE (queue = ANY (ARRAY['messages'::text, 'message_retry'::text]));

COMMENT ON VIEW public.message_queue_items IS 'Outgoing chat messages. The document prints camelCase in its model and snake_case in its SQL; the times are there under both.';

GRANT SELECT ON TABLE public.message_queue_items TO authenticated;
GRANT SELECT ON TABLE public.message_queue_items TO service_role;
