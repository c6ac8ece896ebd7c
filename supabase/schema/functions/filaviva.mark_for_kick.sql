CREATE FUNCTION filaviva.mark_for_kick(p_queues text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_queue text;
begin
  foreach v_queue in array p_queues loop
    if filaviva.has_worker(v_queue) then
      perform pg_notify('filaviva_wake', v_queue);  -- waits for the commit by itself
    else
      insert into filaviva.kick_marks (queue) values (v_queue);
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION filaviva.mark_for_kick(p_queues text[]) IS 'Has whoever serves the queues woken when this transaction commits.';

REVOKE ALL ON FUNCTION filaviva.mark_for_kick(p_queues text[]) FROM PUBLIC;
