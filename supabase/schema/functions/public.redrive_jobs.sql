CREATE FUNCTION public.redrive_jobs(p_filter jsonb, p_dry_run boolean DEFAULT false, p_limit integer DEFAULT 1000) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.redrive_jobs(p_filter, p_dry_run, p_limit) $$;

COMMENT ON FUNCTION public.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) IS 'Puts dead letters that match back, at most 1,000 a call. Answers {matched, changed, job_ids, cursor}: while there is a cursor, call again with it as the filter''s `after`.';

REVOKE ALL ON FUNCTION public.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION public.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) TO service_role;
