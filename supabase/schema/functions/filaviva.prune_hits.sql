CREATE FUNCTION filaviva.prune_hits(p_now timestamp with time zone) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_pruned int;
begin
  delete from filaviva.rate_limit_hits h using public.rate_limiters l
  where h.limiter = l.name and h.at < p_now - make_interval(secs => l.window_seconds) - filaviva.start_slack();
  get diagnostics v_pruned = row_count;
  return v_pruned;
end
$$;

COMMENT ON FUNCTION filaviva.prune_hits(p_now timestamp with time zone) IS 'Forgets hits that no longer count; answers how many.';

REVOKE ALL ON FUNCTION filaviva.prune_hits(p_now timestamp with time zone) FROM PUBLIC;
