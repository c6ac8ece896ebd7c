CREATE FUNCTION filaviva.probe_drain() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_url constant text := filaviva.secret('filaviva_drain_url');
  v_token constant text := filaviva.secret('filaviva_drain_token');
begin
  if v_url is null or v_token is null then
    return null;
  end if;
  return net.http_post(
    url := v_url,
    body := jsonb_build_object('queues', '[]'::jsonb),
    headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_token),
    timeout_milliseconds := 5000
  );
end
$$;

COMMENT ON FUNCTION filaviva.probe_drain() IS 'Asks pg_net to call the drain for no queue at all: that shows whether it is there and takes the token, and does nothing else. Answers the request''s number; null when no drain is configured.';

REVOKE ALL ON FUNCTION filaviva.probe_drain() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.probe_drain() TO service_role;
