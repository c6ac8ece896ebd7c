CREATE FUNCTION filaviva.prune(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  return (select w.pruned from filaviva.prune_walk(0, 2147483647, p_limit) w);
end
$$;

COMMENT ON FUNCTION filaviva.prune(p_limit integer) IS 'Deletes finished jobs past their queue''s retention now, oldest first, at most p_limit of them and for about a second; answers how many. Below p_limit and under a second: none is left.';

REVOKE ALL ON FUNCTION filaviva.prune(p_limit integer) FROM PUBLIC;
