CREATE FUNCTION filaviva.is_drained(p_queue text, p_since timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return exists (select from filaviva.claim_times c where c.queue = p_queue and c.claimed_at > p_since)
    or exists (
      select from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'hidden') d))
        and j.status = 'processing' and j.lease_expires_at > filaviva.now()
    );
end
$$;

COMMENT ON FUNCTION filaviva.is_drained(p_queue text, p_since timestamp with time zone) IS 'Whether somebody asked a queue for work since a time, or runs a job of it now.';

REVOKE ALL ON FUNCTION filaviva.is_drained(p_queue text, p_since timestamp with time zone) FROM PUBLIC;
