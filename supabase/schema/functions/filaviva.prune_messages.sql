CREATE FUNCTION filaviva.prune_messages() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_queue text;
  v_orphans bigint[];
  v_removed int := 0;
begin
  for v_queue in select q.name from public.queues q order by 1 loop
    v_orphans := array(
      select d.msg_id from filaviva.deliveries(v_queue) d
      left join public.jobs j on j.id = d.job_id
      where d.enqueued_at < clock_timestamp() - interval '1 minute'
        and (j.id is null or j.finished_at is not null or j.msg_id is distinct from d.msg_id)
    );
    perform pgmq.delete(v_queue, v_orphans);
    v_removed := v_removed + cardinality(v_orphans);
  end loop;
  return v_removed;
end
$$;

COMMENT ON FUNCTION filaviva.prune_messages() IS 'Removes messages that belong to no living job; answers how many.';

REVOKE ALL ON FUNCTION filaviva.prune_messages() FROM PUBLIC;
