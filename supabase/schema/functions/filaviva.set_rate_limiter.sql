CREATE FUNCTION filaviva.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
begin
  perform filaviva.require_operator();
  if coalesce(p_name, '') !~ '^[a-z][a-z0-9_]{0,46}$' or coalesce(p_max_hits, 0) < 1 or coalesce(p_window_seconds, 0) not between 1 and 86400 then
    perform filaviva.fail(400, 'invalid_field',
      'p_name must be lower case letters, digits and _; p_max_hits at least 1; p_window_seconds from 1 to 86,400.', 'Correct the field and send the call again.');
  end if;
  insert into public.rate_limiters (name, max_hits, window_seconds) values (p_name, p_max_hits, p_window_seconds)
  on conflict (name) do update set max_hits = excluded.max_hits, window_seconds = excluded.window_seconds,
    updated_at = filaviva.now(), version = rate_limiters.version + 1;
  perform filaviva.wake_parked(p_name);
end
$_$;

COMMENT ON FUNCTION filaviva.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) IS 'Makes a limit or changes one that exists; what waits for it looks again at once.';

REVOKE ALL ON FUNCTION filaviva.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) TO authenticated;
GRANT ALL ON FUNCTION filaviva.set_rate_limiter(p_name text, p_max_hits integer, p_window_seconds integer) TO service_role;
