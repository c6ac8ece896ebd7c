CREATE FUNCTION filaviva.leave_line(p_job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  delete from filaviva.due_jobs d using public.jobs j
  where j.id = any (p_job_ids) and j.fair_tag is not null
    and d.queue = j.queue and d.priority = j.priority and d.turn = j.fair_tag and d.seq = j.seq;
end
$$;

COMMENT ON FUNCTION filaviva.leave_line(p_job_ids uuid[]) IS 'Takes locked jobs out of the line, as far as they stand in it.';

REVOKE ALL ON FUNCTION filaviva.leave_line(p_job_ids uuid[]) FROM PUBLIC;
