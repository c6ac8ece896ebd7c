CREATE FUNCTION filaviva.find_no_drain_url(p_rule public.alert_rules, p_now timestamp with time zone) RETURNS SETOF filaviva.finding
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_queues constant text[] := array(select n.queue from filaviva.find_no_drain(p_rule, p_now) n order by 1);
begin
  if v_queues <> '{}' and (filaviva.secret('filaviva_drain_url') is null or filaviva.secret('filaviva_drain_token') is null) then
    return next row(null, 'No drain is configured, and work is due.', jsonb_build_object('queues', v_queues))::filaviva.finding;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.find_no_drain_url(p_rule public.alert_rules, p_now timestamp with time zone) IS 'Work that nobody takes, while the vault holds no address to call.';

REVOKE ALL ON FUNCTION filaviva.find_no_drain_url(p_rule public.alert_rules, p_now timestamp with time zone) FROM PUBLIC;
