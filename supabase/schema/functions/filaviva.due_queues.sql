CREATE FUNCTION filaviva.due_queues() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('queue', q.name) order by q.name), '[]')
    from public.queues q
    where q.paused_at is null and (
      exists (select from filaviva.due_jobs d where d.queue = q.name)
      or filaviva.next_due_in_ms(q.name, v_now) = 0
      or exists (select from filaviva.deliveries(q.name, 'ready', 1))
    )
  );
end
$$;

COMMENT ON FUNCTION filaviva.due_queues() IS 'The queues that have something to run now.';

REVOKE ALL ON FUNCTION filaviva.due_queues() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.due_queues() TO service_role;
