CREATE FUNCTION public.purge_queue(p_queue text, p_dry_run boolean DEFAULT true) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.purge_queue(p_queue, p_dry_run) $$;

COMMENT ON FUNCTION public.purge_queue(p_queue text, p_dry_run boolean) IS 'Cancels every waiting job of a queue unless it is a dry run; for operators. Answers {matched, changed, job_ids, cursor}.';

REVOKE ALL ON FUNCTION public.purge_queue(p_queue text, p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.purge_queue(p_queue text, p_dry_run boolean) TO authenticated;
GRANT ALL ON FUNCTION public.purge_queue(p_queue text, p_dry_run boolean) TO service_role;
