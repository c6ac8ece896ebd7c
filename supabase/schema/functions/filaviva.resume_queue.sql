CREATE FUNCTION filaviva.resume_queue(p_queue text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  update public.queues set paused_at = null where name = p_queue and paused_at is not null;
  if found then
    perform filaviva.mark_for_kick(array[p_queue]);
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.resume_queue(p_queue text) IS 'Ends a pause and wakes the drain.';

REVOKE ALL ON FUNCTION filaviva.resume_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.resume_queue(p_queue text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.resume_queue(p_queue text) TO service_role;
