CREATE FUNCTION filaviva.expire(p_job_ids uuid[], p_now timestamp with time zone) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_ids uuid[] := array(
    select j.id from public.jobs j
    where j.id = any (p_job_ids) and j.status in ('pending', 'retrying') and j.committed_at is null and j.expires_at <= p_now
  );
begin
  perform filaviva.cancel_waiting(v_ids, p_now);
  update public.jobs j set
    version = j.version + 1, cancel_requested_at = null, error_code = 'expired', error_message = 'The job had not started by its expires_at.'
  where j.id = any (v_ids);
  return cardinality(v_ids);
end
$$;

COMMENT ON FUNCTION filaviva.expire(p_job_ids uuid[], p_now timestamp with time zone) IS 'Cancels those of some locked jobs that still wait after their expiry; one past its point of no return goes on.';

REVOKE ALL ON FUNCTION filaviva.expire(p_job_ids uuid[], p_now timestamp with time zone) FROM PUBLIC;
