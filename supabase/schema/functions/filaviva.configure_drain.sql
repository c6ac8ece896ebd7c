CREATE FUNCTION filaviva.configure_drain(p_url text, p_token text, p_call_timeout_ms integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.require_operator();
  if coalesce(p_url, '') !~ '^https?://' then
    perform filaviva.fail(400, 'invalid_field', 'p_url must be an http(s) address.', 'Send the address of /api/queue/process.');
  end if;
  if coalesce(p_token, '') = '' or coalesce(p_call_timeout_ms, 0) not between 1 and 60000 then
    perform filaviva.fail(400, 'invalid_field', 'p_token must not be empty, and p_call_timeout_ms must be from 1 to 60,000.', 'The token is the functions'' CRON_SECRET.');
  end if;
  perform filaviva.put_secret('filaviva_drain_url', p_url);
  perform filaviva.put_secret('filaviva_drain_token', p_token);
  update filaviva.drain_settings set call_timeout_ms = p_call_timeout_ms;
end
$$;

COMMENT ON FUNCTION filaviva.configure_drain(p_url text, p_token text, p_call_timeout_ms integer) IS 'Stores the drain''s address and bearer token in the vault, and how long a call may wait for its answer.';

REVOKE ALL ON FUNCTION filaviva.configure_drain(p_url text, p_token text, p_call_timeout_ms integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.configure_drain(p_url text, p_token text, p_call_timeout_ms integer) TO service_role;
