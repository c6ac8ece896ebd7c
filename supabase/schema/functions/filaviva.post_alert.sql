CREATE FUNCTION filaviva.post_alert(p_alert public.alerts) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_url text := filaviva.secret('filaviva_alert_url');
begin
  if v_url is not null then
    perform net.http_post(
      url := v_url,
      body := jsonb_build_object(
        'event', case when p_alert.resolved_at is null then 'opened' else 'resolved' end,
        'text', case when p_alert.resolved_at is null then '' else 'Over: ' end || p_alert.message,
        'alert', to_jsonb(p_alert)
      ),
      timeout_milliseconds := 2000
    );
  end if;
exception when others then
  raise warning 'filaviva: an alert could not be posted: %', sqlerrm;
end
$$;

COMMENT ON FUNCTION filaviva.post_alert(p_alert public.alerts) IS 'Asks pg_net to post {event: opened|resolved, text, alert} to the address in the vault under filaviva_alert_url, if there is one. Never raises.';

REVOKE ALL ON FUNCTION filaviva.post_alert(p_alert public.alerts) FROM PUBLIC;
