CREATE FUNCTION filaviva.usual_run_seconds(p_queue text) RETURNS double precision
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  return (
    select coalesce(max(s.usual_seconds), 0) from public.kinds k join filaviva.kind_stats s on s.kind = k.kind where k.queue = p_queue
  );
end
$$;

COMMENT ON FUNCTION filaviva.usual_run_seconds(p_queue text) IS 'The usual seconds of the slowest kind of a queue; 0 when nothing is known.';

REVOKE ALL ON FUNCTION filaviva.usual_run_seconds(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.usual_run_seconds(p_queue text) TO service_role;
