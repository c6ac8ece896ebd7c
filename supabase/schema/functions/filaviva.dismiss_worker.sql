CREATE FUNCTION filaviva.dismiss_worker(p_worker_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_worker filaviva.workers;
begin
  delete from filaviva.workers w where w.worker_id = p_worker_id returning * into v_worker;
  if found then
    perform filaviva.mark_for_kick(array(
      select q.name from public.queues q
      where (v_worker.queues is null or q.name = any (v_worker.queues)) and filaviva.wants_drain(q)
    ));
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.dismiss_worker(p_worker_id text) IS 'A long-running worker has gone: whoever else serves its queues is woken where there is work.';

REVOKE ALL ON FUNCTION filaviva.dismiss_worker(p_worker_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.dismiss_worker(p_worker_id text) TO service_role;
