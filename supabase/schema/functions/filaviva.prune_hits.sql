CREATE FUNCTION filaviva.prune_hits(p_now timestamp with time zone) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_pruned int;
begin
  -- A hit that a settle is giving back is skipped: that settle may be waiting for a key that we hold.
  delete from filaviva.rate_limit_hits d using (
    select h.ctid from filaviva.rate_limit_hits h join public.rate_limiters l on l.name = h.limiter
    where h.at < p_now - make_interval(secs => l.window_seconds) - filaviva.start_slack()
    for update of h skip locked
  ) o where d.ctid = o.ctid;
  get diagnostics v_pruned = row_count;
  delete from filaviva.cool_downs d using (
    select c.ctid from filaviva.cool_downs c where c.until < p_now - interval '1 hour' for update skip locked
  ) o where d.ctid = o.ctid;
  return v_pruned;
end
$$;

COMMENT ON FUNCTION filaviva.prune_hits(p_now timestamp with time zone) IS 'Forgets hits that no longer count and cool-downs that are long over; answers how many hits.';

REVOKE ALL ON FUNCTION filaviva.prune_hits(p_now timestamp with time zone) FROM PUBLIC;
