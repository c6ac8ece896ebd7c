CREATE FUNCTION filaviva.lock_groups(p_job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform from filaviva.job_groups g
  where (g.queue, g.group_key) in (
    select j.queue, j.group_key from public.jobs j where j.id = any (p_job_ids) and j.group_key is not null
  )
  order by g.queue, g.group_key for update;
end
$$;

COMMENT ON FUNCTION filaviva.lock_groups(p_job_ids uuid[]) IS 'Locks the groups of some jobs, by key.';

REVOKE ALL ON FUNCTION filaviva.lock_groups(p_job_ids uuid[]) FROM PUBLIC;
