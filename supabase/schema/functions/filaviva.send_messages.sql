CREATE FUNCTION filaviva.send_messages(p_queue text, p_job_ids uuid[], p_hidden_seconds integer) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if p_job_ids = '{}' then
    return '{}';
  end if;
  return array(
    select s from pgmq.send_batch(
      p_queue,
      array(select jsonb_build_object('job_id', i.id) from unnest(p_job_ids) with ordinality as i(id, ord) order by i.ord),
      p_hidden_seconds
    ) as s
    order by s
  );
end
$$;

COMMENT ON FUNCTION filaviva.send_messages(p_queue text, p_job_ids uuid[], p_hidden_seconds integer) IS 'Sends one message a job; answers their ids in the order of the jobs.';

REVOKE ALL ON FUNCTION filaviva.send_messages(p_queue text, p_job_ids uuid[], p_hidden_seconds integer) FROM PUBLIC;
