CREATE FUNCTION public.queue_metrics(p_queue text DEFAULT NULL::text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$ select filaviva.queue_metrics(p_queue) $$;

COMMENT ON FUNCTION public.queue_metrics(p_queue text) IS 'How long each queue is, how fast it moves, and the trends; for operators. One object a queue.';

REVOKE ALL ON FUNCTION public.queue_metrics(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.queue_metrics(p_queue text) TO authenticated;
GRANT ALL ON FUNCTION public.queue_metrics(p_queue text) TO service_role;
