CREATE FUNCTION filaviva.require_queue(p_queue text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  if not exists (select from public.queues q where q.name = p_queue) then
    perform filaviva.fail(404, 'unknown_queue', format('There is no queue %L.', p_queue), 'Make it with create_queue(), or correct its name.');
  end if;
end
$$;

REVOKE ALL ON FUNCTION filaviva.require_queue(p_queue text) FROM PUBLIC;
