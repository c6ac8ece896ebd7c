CREATE FUNCTION filaviva.window_edges(p_queue text) RETURNS filaviva.window_edges
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $_$
declare
  v_edges filaviva.window_edges;
  v_first_id bigint; v_first jsonb;
  v_last_id bigint; v_last jsonb;
begin
  execute format('select m.msg_id, m.message from pgmq.%I m where m.vt <= $1 order by m.msg_id limit 1', 'q_' || p_queue)
    into v_first_id, v_first using clock_timestamp();
  if v_first_id is null then
    return null;
  end if;
  execute format('select m.msg_id, m.message from pgmq.%I m where m.vt <= $1 order by m.msg_id desc limit 1', 'q_' || p_queue)
    into v_last_id, v_last using clock_timestamp();
  v_edges.size := v_last_id - v_first_id + 1;
  select coalesce(j.fair_tag, 0) into v_edges.first_turn from public.jobs j where j.id = filaviva.job_id_of(v_first);
  select j.user_id, coalesce(j.fair_tag, 0) into v_edges.owner, v_edges.last_turn from public.jobs j where j.id = filaviva.job_id_of(v_last);
  return v_edges;
end
$_$;

COMMENT ON FUNCTION filaviva.window_edges(p_queue text) IS 'The first and the last ready message of a queue; null when there is none.';

REVOKE ALL ON FUNCTION filaviva.window_edges(p_queue text) FROM PUBLIC;
