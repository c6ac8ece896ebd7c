CREATE FUNCTION filaviva.wants_drain(p_queue public.queues) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return p_queue.paused_at is null
    and (p_queue.concurrency is null or filaviva.running(p_queue.name) < p_queue.concurrency)
    and (exists (select from filaviva.deliveries(p_queue.name) d where not d.hidden) or exists (select from public.jobs j where j.queue = p_queue.name and j.fair_tag is not null));
end
$$;

COMMENT ON FUNCTION filaviva.wants_drain(p_queue public.queues) IS 'Whether a queue has something to run and room to run it.';

REVOKE ALL ON FUNCTION filaviva.wants_drain(p_queue public.queues) FROM PUBLIC;
