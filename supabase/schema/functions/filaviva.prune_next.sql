CREATE FUNCTION filaviva.prune_next(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_cursor filaviva.prune_cursor;
  v_walk record;
begin
  select * into v_cursor from filaviva.prune_cursor for update skip locked;
  if not found then
    return 0;  -- another walk is under way
  end if;
  select * into v_walk from filaviva.prune_walk(v_cursor.after_seq, 20000, p_limit);
  update filaviva.prune_cursor set after_seq = v_walk.next_after where after_seq <> v_walk.next_after;
  return v_walk.pruned;
end
$$;

COMMENT ON FUNCTION filaviva.prune_next(p_limit integer) IS 'The next step of retention, run by cron every 10 seconds: reads at most 20,000 old jobs, deletes at most p_limit that are past their time, and remembers where it stopped. Answers how many it deleted.';

REVOKE ALL ON FUNCTION filaviva.prune_next(p_limit integer) FROM PUBLIC;
