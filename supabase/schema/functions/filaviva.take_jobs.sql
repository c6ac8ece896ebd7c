CREATE FUNCTION filaviva.take_jobs(p_queue public.queues, p_limit integer, p_now timestamp with time zone, OUT job_ids uuid[], OUT msg_ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_hidden_seconds constant int := filaviva.hidden_seconds(p_queue);
  v_share int;
  v_window record;
begin
  job_ids := '{}'; msg_ids := '{}';
  if exists (select from public.queue_limits l where l.queue = p_queue.name) then
    -- Under limits nothing goes straight into pgmq; what may be left there from before comes back.
    perform filaviva.recall_window(p_queue.name, p_now);
    job_ids := filaviva.take_admitted(p_queue.name, p_limit, p_now);
    msg_ids := filaviva.send_messages(p_queue.name, job_ids, v_hidden_seconds);
    return;
  end if;
  job_ids := filaviva.take_due(p_queue.name, 1, p_limit, p_now);
  v_share := filaviva.window_share(p_queue.name, p_limit - cardinality(job_ids));
  job_ids := job_ids || filaviva.take_due(p_queue.name, 0, p_limit - v_share - cardinality(job_ids), p_now);
  msg_ids := filaviva.send_messages(p_queue.name, job_ids, v_hidden_seconds);
  v_share := p_limit - cardinality(job_ids);  -- with what the line did not give
  if v_share > 0 then
    select * into v_window from filaviva.read_window(p_queue.name, v_hidden_seconds, v_share);
    job_ids := job_ids || v_window.job_ids;
    msg_ids := msg_ids || v_window.msg_ids;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.take_jobs(p_queue public.queues, p_limit integer, p_now timestamp with time zone, OUT job_ids uuid[], OUT msg_ids bigint[]) IS 'The next jobs of a queue, locked, each with its hidden message.';

REVOKE ALL ON FUNCTION filaviva.take_jobs(p_queue public.queues, p_limit integer, p_now timestamp with time zone, OUT job_ids uuid[], OUT msg_ids bigint[]) FROM PUBLIC;
