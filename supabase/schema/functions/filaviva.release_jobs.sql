CREATE FUNCTION filaviva.release_jobs(p_queue text, p_now timestamp with time zone, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return filaviva.release_later(p_queue, p_now, p_limit) + filaviva.release_groups(p_queue, p_now, p_limit)
    + filaviva.release_limits(p_queue, p_now, p_limit);
end
$$;

COMMENT ON FUNCTION filaviva.release_jobs(p_queue text, p_now timestamp with time zone, p_limit integer) IS 'All that may join the line of a queue now, at most p_limit of each sort; answers how many moved.';

REVOKE ALL ON FUNCTION filaviva.release_jobs(p_queue text, p_now timestamp with time zone, p_limit integer) FROM PUBLIC;
