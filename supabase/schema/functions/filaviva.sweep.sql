CREATE FUNCTION filaviva.sweep(p_rows integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_after bigint := (select c.after_seq from filaviva.sweep_cursor c);
  v_last bigint;
  v_queue public.queues;
  v_healed int := 0;
begin
  select max(s.seq) into v_last from (
    select j.seq from public.jobs j where j.seq > v_after order by j.seq limit p_rows
  ) s;
  for v_queue in select * from public.queues q order by q.name loop
    v_healed := v_healed + filaviva.heal_messages(v_queue, v_after, v_last) + filaviva.heal_groups(v_queue, v_after, v_last);
  end loop;
  update filaviva.sweep_cursor set after_seq = coalesce(v_last, 0);
  return v_healed;
end
$$;

COMMENT ON FUNCTION filaviva.sweep(p_rows integer) IS 'Walks the jobs slice by slice and mends what should not happen: a job without its message, a group without a row, a head that is gone. Answers how many it mended.';

REVOKE ALL ON FUNCTION filaviva.sweep(p_rows integer) FROM PUBLIC;
