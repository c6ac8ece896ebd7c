CREATE FUNCTION filaviva.pause_queue(p_queue text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  update public.queues set paused_at = filaviva.now() where name = p_queue and paused_at is null;
end
$$;

COMMENT ON FUNCTION filaviva.pause_queue(p_queue text) IS 'Lets nothing more of a queue be claimed until resume_queue(); jobs may still be enqueued.';

REVOKE ALL ON FUNCTION filaviva.pause_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.pause_queue(p_queue text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.pause_queue(p_queue text) TO service_role;
