CREATE FUNCTION filaviva.running(p_queue text) RETURNS integer
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return (
    select count(*) from filaviva.deliveries(p_queue, 'hidden') d
    join public.jobs j on j.id = d.job_id and j.msg_id = d.msg_id
    where j.status = 'processing'
  );
end
$$;

COMMENT ON FUNCTION filaviva.running(p_queue text) IS 'How many jobs of a queue are being processed; found through their messages, which are few.';

REVOKE ALL ON FUNCTION filaviva.running(p_queue text) FROM PUBLIC;
