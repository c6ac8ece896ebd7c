CREATE FUNCTION filaviva.is_lost(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
  select p_job.status = 'processing'
    and least(p_job.lease_expires_at, p_job.started_at + make_interval(secs => p_queue.stall_seconds)) < p_now
$$;

COMMENT ON FUNCTION filaviva.is_lost(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) IS 'Whether a claim''s lease or outer bound is over.';

REVOKE ALL ON FUNCTION filaviva.is_lost(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) FROM PUBLIC;
