CREATE FUNCTION filaviva.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now constant timestamptz := filaviva.now();
  v_queues constant text[] := case when jsonb_typeof(p_queues) <> 'null' then filaviva.names_of(p_queues) end;
  v_queue text;
begin
  if p_worker_id is null or length(p_worker_id) not between 1 and 200 then
    perform filaviva.fail(400, 'invalid_field', 'p_worker_id must have 1 to 200 characters.', 'Send a name that no other worker has, and the same one each time.');
  end if;
  foreach v_queue in array coalesce(v_queues, '{}') loop
    perform filaviva.require_queue(v_queue);
  end loop;
  insert into filaviva.workers (worker_id, queues, started_at, seen_at, stopping)
  values (p_worker_id, v_queues, v_now, v_now, coalesce(p_stopping, false))
  on conflict (worker_id) do update set queues = excluded.queues, seen_at = excluded.seen_at, stopping = excluded.stopping;
  delete from filaviva.workers w where w.worker_id = any (array(
    select d.worker_id from filaviva.workers d where d.seen_at < v_now - interval '1 minute' for update skip locked
  ));
  return (
    select coalesce(jsonb_agg(q.name order by q.name), '[]') from public.queues q
    where v_queues is null or q.name = any (v_queues)
  );
end
$$;

COMMENT ON FUNCTION filaviva.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) IS 'A long-running worker says every few seconds that it lives and which queues it serves (null: all), or that it is stopping; answers their names. Forgets those that died.';

REVOKE ALL ON FUNCTION filaviva.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.announce_worker(p_worker_id text, p_queues jsonb, p_stopping boolean) TO service_role;
