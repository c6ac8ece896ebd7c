CREATE FUNCTION filaviva.recall_window(p_queue text, p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_msg_ids bigint[];
  v_ids uuid[];
begin
  if (filaviva.window_edges(p_queue)).size is null then
    return;
  end if;
  v_ids := array(
    select j.id from public.jobs j
    where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'ready', 1000) d)) and j.status in ('pending', 'retrying') and j.msg_id is not null
    for update skip locked
  );
  v_msg_ids := array(select j.msg_id from public.jobs j where j.id = any (v_ids));
  perform filaviva.line_up(p_queue, v_ids);
  perform pgmq.delete(p_queue, v_msg_ids);
end
$$;

COMMENT ON FUNCTION filaviva.recall_window(p_queue text, p_now timestamp with time zone) IS 'Brings the ready messages of a queue back into the line.';

REVOKE ALL ON FUNCTION filaviva.recall_window(p_queue text, p_now timestamp with time zone) FROM PUBLIC;
