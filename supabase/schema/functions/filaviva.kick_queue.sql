CREATE FUNCTION filaviva.kick_queue(p_queue text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_posted_at timestamptz;
begin
  if exists (select from public.queues q where q.name = p_queue and q.paused_at is not null) then
    return false;
  end if;
  if filaviva.has_worker(p_queue) then
    perform pg_notify('filaviva_wake', p_queue);
    return true;
  end if;
  select k.posted_at into v_posted_at from filaviva.kicks k where k.queue = p_queue for update skip locked;
  if found then
    if v_posted_at > filaviva.now() - interval '1 second' then
      return false;  -- a drain woken within this second lingers for longer than that
    end if;
    update filaviva.kicks set posted_at = filaviva.now() where queue = p_queue;
  end if;
  -- A locked row is another transaction's kick that may still roll back: post our own.
  return filaviva.post_drain(p_queue);
end
$$;

COMMENT ON FUNCTION filaviva.kick_queue(p_queue text) IS 'Wakes the workers that listen for a queue, or else calls its drain, at most once a second. True when somebody was woken.';

REVOKE ALL ON FUNCTION filaviva.kick_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.kick_queue(p_queue text) TO service_role;
