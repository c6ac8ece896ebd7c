CREATE FUNCTION filaviva.stand_again(p_job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
  select j.queue, j.priority, j.fair_tag, j.seq, j.id, coalesce(j.user_id, '00000000-0000-0000-0000-000000000000')
  from public.jobs j where j.id = any (p_job_ids);
end
$$;

COMMENT ON FUNCTION filaviva.stand_again(p_job_ids uuid[]) IS 'Puts jobs that were taken from the line and not changed back to where they stood.';

REVOKE ALL ON FUNCTION filaviva.stand_again(p_job_ids uuid[]) FROM PUBLIC;
