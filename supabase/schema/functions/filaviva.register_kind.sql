CREATE FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_kind public.kinds;
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may register a kind.', 'Use the service key, or SQL as postgres.');
  end if;
  select * into v_kind from public.kinds k where k.kind = p_kind;
  v_kind := jsonb_populate_record(v_kind, p_settings);
  insert into public.kinds (kind, queue, timeout_seconds, max_attempts, user_may_enqueue)
  values (p_kind, v_kind.queue, v_kind.timeout_seconds, v_kind.max_attempts, coalesce(v_kind.user_may_enqueue, false))
  on conflict (kind) do update set
    queue = excluded.queue, timeout_seconds = excluded.timeout_seconds,
    max_attempts = excluded.max_attempts, user_may_enqueue = excluded.user_may_enqueue;
end
$$;

COMMENT ON FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) IS 'Says which queue runs a kind, or changes what is named of one that exists. Settings are the columns of kinds.';

REVOKE ALL ON FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) TO service_role;
