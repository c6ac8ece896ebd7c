CREATE FUNCTION filaviva.lock_jobs(p_job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform filaviva.lock_groups(p_job_ids);
  perform from public.jobs j where j.id = any (p_job_ids) order by j.id for update;
end
$$;

COMMENT ON FUNCTION filaviva.lock_jobs(p_job_ids uuid[]) IS 'Locks in the one order that everybody who waits keeps: groups by key, then jobs by id.';

REVOKE ALL ON FUNCTION filaviva.lock_jobs(p_job_ids uuid[]) FROM PUBLIC;
