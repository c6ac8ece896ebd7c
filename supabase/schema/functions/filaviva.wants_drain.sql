CREATE FUNCTION filaviva.wants_drain(p_queue public.queues) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_ready int; v_running int;
begin
  select count(*) filter (where not d.hidden), count(*) filter (where d.hidden) into v_ready, v_running
  from filaviva.deliveries(p_queue.name) d;
  return p_queue.paused_at is null and coalesce(v_running < p_queue.concurrency, true)
    and (v_ready > 0 or exists (select from public.jobs j where j.queue = p_queue.name and j.fair_tag is not null));
end
$$;

COMMENT ON FUNCTION filaviva.wants_drain(p_queue public.queues) IS 'Whether a queue has something to run and room to run it.';

REVOKE ALL ON FUNCTION filaviva.wants_drain(p_queue public.queues) FROM PUBLIC;
