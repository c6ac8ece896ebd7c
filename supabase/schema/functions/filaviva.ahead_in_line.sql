CREATE FUNCTION filaviva.ahead_in_line(p_job public.jobs) RETURNS integer
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  c_most constant int := 10000;
  v_in_line int := (
    select count(*) from (
      select from filaviva.due_jobs d
      where d.queue = p_job.queue and d.priority >= p_job.priority
        and (d.priority > p_job.priority or (d.turn, d.seq) < (p_job.fair_tag, p_job.seq))
      limit c_most
    ) a
  );
begin
  return v_in_line + (
    select count(*) from filaviva.deliveries(p_job.queue, 'ready') d join public.jobs j on j.id = d.job_id
    where p_job.priority = 0 and j.id <> p_job.id and (j.fair_tag, j.seq) < (p_job.fair_tag, p_job.seq)
  );
end
$$;

COMMENT ON FUNCTION filaviva.ahead_in_line(p_job public.jobs) IS 'How many due jobs come before a due one; counted up to 10,000.';

REVOKE ALL ON FUNCTION filaviva.ahead_in_line(p_job public.jobs) FROM PUBLIC;
