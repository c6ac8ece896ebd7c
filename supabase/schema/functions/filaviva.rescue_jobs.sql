CREATE FUNCTION filaviva.rescue_jobs(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_queue public.queues;
  v_rescued int := 0;
begin
  for v_queue in select * from public.queues q order by q.name loop
    v_rescued := v_rescued + filaviva.rescue(v_queue, array(
      select j.id from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(v_queue.name, 'hidden') d))
        and filaviva.is_lost(j, v_queue, filaviva.now())
      limit greatest(coalesce(p_limit, 0) - v_rescued, 0)
    ));
  end loop;
  return v_rescued;
end
$$;

COMMENT ON FUNCTION filaviva.rescue_jobs(p_limit integer) IS 'Returns jobs of dead workers to their queues, or ends them; answers how many.';

REVOKE ALL ON FUNCTION filaviva.rescue_jobs(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.rescue_jobs(p_limit integer) TO service_role;
