CREATE FUNCTION filaviva.wants_drain(p_queue public.queues) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return p_queue.paused_at is null
    and (p_queue.concurrency is null or filaviva.running(p_queue.name) < p_queue.concurrency)
    and (exists (select from filaviva.due_jobs d where d.queue = p_queue.name) or exists (select from filaviva.deliveries(p_queue.name, 'ready', 1)));
end
$$;

COMMENT ON FUNCTION filaviva.wants_drain(p_queue public.queues) IS 'Whether a queue has something to run and room to run it.';

REVOKE ALL ON FUNCTION filaviva.wants_drain(p_queue public.queues) FROM PUBLIC;
