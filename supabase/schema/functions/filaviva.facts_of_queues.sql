CREATE FUNCTION filaviva.facts_of_queues(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', q.name,
    'paused_seconds', extract(epoch from n.at - q.paused_at),
    'due_seconds', extract(epoch from n.at - filaviva.due_since(q.name, n.at)),
    'drained', filaviva.is_drained(q.name, n.at - interval '1 minute'),
    'lost_leases', (
      select count(*) from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(q.name, 'hidden') d))
        and j.status = 'processing' and j.lease_expires_at < n.at - interval '15 seconds'
    )
  ) order by q.name), '[]')
  from public.queues q, (select filaviva.now() as at) n
$$;

COMMENT ON FUNCTION filaviva.facts_of_queues(p_needs jsonb) IS 'Of each queue: since when it is paused, since when work is due, whether somebody asks for it, and how many jobs lost their worker.';

REVOKE ALL ON FUNCTION filaviva.facts_of_queues(p_needs jsonb) FROM PUBLIC;
