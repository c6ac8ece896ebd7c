CREATE FUNCTION filaviva.has_worker(p_queue text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return exists (
    select from filaviva.workers w
    where not w.stopping and w.seen_at > filaviva.now() - interval '15 seconds' and (w.queues is null or p_queue = any (w.queues))
  );
end
$$;

COMMENT ON FUNCTION filaviva.has_worker(p_queue text) IS 'Whether a long-running worker listens for a queue.';

REVOKE ALL ON FUNCTION filaviva.has_worker(p_queue text) FROM PUBLIC;
