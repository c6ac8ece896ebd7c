CREATE FUNCTION filaviva.count_due_jobs(p_queues jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_queue text;
  v_due int := 0;
begin
  foreach v_queue in array filaviva.names_of(p_queues) loop
    v_due := v_due
      + (select count(*) from filaviva.deliveries(v_queue, 'ready', 1000) d)
      + (select count(*) from (select from filaviva.due_jobs d where d.queue = v_queue limit 1000) s)
      + (select count(*) from (select from public.jobs j where j.queue = v_queue and j.next_run_at <= filaviva.now() limit 1000) s);
  end loop;
  return v_due;
end
$$;

COMMENT ON FUNCTION filaviva.count_due_jobs(p_queues jsonb) IS 'How many jobs of the queues could be claimed now, counted up to a bound; the lines of groups count by their heads.';

REVOKE ALL ON FUNCTION filaviva.count_due_jobs(p_queues jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.count_due_jobs(p_queues jsonb) TO service_role;
