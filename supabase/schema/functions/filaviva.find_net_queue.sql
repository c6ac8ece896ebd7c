CREATE FUNCTION filaviva.find_net_queue(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_waiting record;
  v_watch filaviva.net_watch;
begin
  select count(*) as n, min(r.id) as first_id into v_waiting from net.http_request_queue r;
  update filaviva.net_watch w set first_id = v_waiting.first_id, seen_at = p_now where w.first_id is distinct from v_waiting.first_id;
  select * into v_watch from filaviva.net_watch;
  if v_waiting.n > p_rule.max_count or (v_waiting.n > 0 and v_watch.seen_at < p_now - make_interval(secs => p_rule.max_seconds)) then
    return next row(null, format('%s requests wait in pg_net, the first for %s seconds.', v_waiting.n, floor(extract(epoch from p_now - v_watch.seen_at))),
      jsonb_build_object('count', v_waiting.n, 'first_seen_at', v_watch.seen_at))::filaviva.finding;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.find_net_queue(p_rule public.alert_rules, p_now timestamp with time zone) IS 'Wake-up calls that pile up or are not sent.';

REVOKE ALL ON FUNCTION filaviva.find_net_queue(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
