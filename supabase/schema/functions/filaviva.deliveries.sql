CREATE FUNCTION filaviva.deliveries(p_queue text) RETURNS TABLE(msg_id bigint, job_id uuid, hidden boolean, enqueued_at timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return query execute format(
    'select m.msg_id, filaviva.job_id_of(m.message), m.vt > clock_timestamp(), m.enqueued_at from pgmq.%I m',
    'q_' || p_queue
  );
end
$$;

COMMENT ON FUNCTION filaviva.deliveries(p_queue text) IS 'The messages of a queue: ready ones in the window and hidden ones in flight. Both are bounded, so reading them all is cheap. The only statement that reads a pgmq table.';

REVOKE ALL ON FUNCTION filaviva.deliveries(p_queue text) FROM PUBLIC;
