CREATE FUNCTION filaviva.post_drain(p_queue text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_url text := filaviva.secret('filaviva_drain_url');
  v_token text := filaviva.secret('filaviva_drain_token');
begin
  if v_url is null or v_token is null then
    if not filaviva.has_worker(p_queue) then
      raise warning 'filaviva: no drain is configured; call configure_drain(url, token), or run a worker';
    end if;
    return false;
  end if;
  perform net.http_post(
    url := v_url,
    body := jsonb_build_object('queues', jsonb_build_array(p_queue)),
    headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_token),
    timeout_milliseconds := (select s.call_timeout_ms from filaviva.drain_settings s)
  );
  return true;
exception when others then
  raise warning 'filaviva: the drain could not be called: %', sqlerrm;
  return false;
end
$$;

COMMENT ON FUNCTION filaviva.post_drain(p_queue text) IS 'Asks pg_net to call the drain for a queue. Never raises: answers false when it could not.';

REVOKE ALL ON FUNCTION filaviva.post_drain(p_queue text) FROM PUBLIC;
