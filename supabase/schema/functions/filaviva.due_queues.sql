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
      exists (select from public.jobs j where j.queue = q.name and j.fair_tag is not null)
      or filaviva.next_due_in_ms(q.name, v_now) = 0
      or exists (select from filaviva.deliveries(q.name) d where not d.hidden)
    )
  );
end
$$;

COMMENT ON FUNCTION filaviva.due_queues() IS 'The queues that have something to run now.';

REVOKE ALL ON FUNCTION filaviva.due_queues() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.due_queues() TO service_role;
