CREATE FUNCTION filaviva.kick_queue(p_queue text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '200ms'
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
  if exists (select from filaviva.kicks k where k.queue = p_queue and k.posted_at > filaviva.now() - interval '1 second') then
    return false;  -- a drain woken within this second lingers for longer than that
  end if;
  begin
    -- Whoever holds the row is committing a kick of its own: the wait is that commit's.
    select k.posted_at into v_posted_at from filaviva.kicks k where k.queue = p_queue for update;
    if v_posted_at > filaviva.now() - interval '1 second' then
      return false;
    end if;
    update filaviva.kicks set posted_at = filaviva.now() where queue = p_queue;
  exception when lock_not_available then
    null;  -- it takes too long, and may still roll back: post our own
  end;
  return filaviva.post_drain(p_queue);
end
$$;

COMMENT ON FUNCTION filaviva.kick_queue(p_queue text) IS 'Wakes the workers that listen for a queue, or else calls its drain, at most once a second. True when somebody was woken.';

REVOKE ALL ON FUNCTION filaviva.kick_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.kick_queue(p_queue text) TO service_role;
