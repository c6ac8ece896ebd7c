CREATE FUNCTION filaviva.facts_of_workers(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'worker_id', w.worker_id, 'queues', w.queues, 'stopping', w.stopping, 'silent_seconds', extract(epoch from filaviva.now() - w.seen_at)
  ) order by w.worker_id), '[]')
  from filaviva.workers w
$$;

COMMENT ON FUNCTION filaviva.facts_of_workers(p_needs jsonb) IS 'The long-running workers, and for how long they have been silent.';

REVOKE ALL ON FUNCTION filaviva.facts_of_workers(p_needs jsonb) FROM PUBLIC;
