CREATE VIEW public.publication_jobs WITH (security_invoker='true') AS
 SELECT id,
    user_id,
    (payload ->> 'platform'::text) AS platform,
    (payload ->> 'option'::text) AS option,
    (payload -> 'content'::text) AS content,
        CASE
            WHEN ((status = 'retrying'::text) AND ((waiting_reason = 'polling'::text) OR (committed_at IS NOT NULL))) THEN 'processing'::text
            WHEN (status = 'retrying'::text) THEN 'pending'::text
            WHEN (status = ANY (ARRAY['cancelled'::text, 'unconfirmed'::text])) THEN 'failed'::text
            ELSE status
        END AS status,
    created_at,
    started_at,
    finished_at AS completed_at,
        CASE status
            WHEN 'cancelled'::text THEN COALESCE(error_message, 'The publication was cancelled before it went out.'::text)
            WHEN 'unconfirmed'::text THEN COALESCE(error_message, 'Nobody can tell whether the publication went out.'::text)
            ELSE error_message
        END AS error_message,
    GREATEST((attempt - 1), 0) AS retry_count,
    max_attempts AS max_retries,
    result AS platform_response,
    metadata
   FROM public.jobs j
  WHERE (kind = 'publish_post'::text);

COMMENT ON VIEW public.publication_jobs IS 'Publications. An insert enqueues one; everything after that is the engine''s.';

COMMENT ON COLUMN public.publication_jobs.platform IS 'The network alone. An insert may also name the option here, such as tiktok_video.';

COMMENT ON COLUMN public.publication_jobs.status IS 'pending, processing, completed or failed. A post that the platform is still working on is processing.';

CREATE TRIGGER insert_publication INSTEAD OF INSERT ON public.publication_jobs FOR EACH ROW EXECUTE FUNCTION filaviva.insert_publication();

GRANT SELECT,INSERT ON TABLE public.publication_jobs TO authenticated;
GRANT SELECT,INSERT ON TABLE public.publication_jobs TO service_role;
