CREATE FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  v_kind public.kinds;
  v_unknown text;
begin
  perform filaviva.require_operator();
  if coalesce(p_kind, '') !~ '^[a-z][a-z0-9_-]{0,62}$' then
    perform filaviva.fail(400, 'invalid_field', 'p_kind must be 1 to 63 lower case letters, digits, - and _, the first a letter.', 'Choose another name.');
  end if;
  if jsonb_typeof(p_settings) is distinct from 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_settings must be an object.', 'Send {"queue": "…"}, at least.');
  end if;
  select k.key into v_unknown from jsonb_object_keys(p_settings) as k(key)
  where k.key <> all (array['queue', 'timeout_seconds', 'max_attempts', 'user_may_enqueue', 'group_key_path']) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A kind has no setting %L.', v_unknown), 'The settings are queue, timeout_seconds, max_attempts, user_may_enqueue, group_key_path.');
  end if;
  begin
    select * into v_kind from public.kinds k where k.kind = p_kind;
    v_kind := jsonb_populate_record(v_kind, p_settings);
    perform filaviva.require_queue(v_kind.queue);
    insert into public.kinds (kind, queue, timeout_seconds, max_attempts, user_may_enqueue, group_key_path)
    values (p_kind, v_kind.queue, v_kind.timeout_seconds, v_kind.max_attempts, coalesce(v_kind.user_may_enqueue, false), v_kind.group_key_path)
    on conflict (kind) do update set
      queue = excluded.queue, timeout_seconds = excluded.timeout_seconds,
      max_attempts = excluded.max_attempts, user_may_enqueue = excluded.user_may_enqueue, group_key_path = excluded.group_key_path;
  exception when data_exception or integrity_constraint_violation then
    perform filaviva.fail(400, 'invalid_field', 'A setting cannot be taken: ' || sqlerrm || '.', 'Numbers are whole and at least 1; user_may_enqueue is true or false; group_key_path is a path such as payload.conversation_id, or several with : between them.');
  end;
end
$_$;

COMMENT ON FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) IS 'Says which queue runs a kind, or changes what is named of one that exists. Settings are the columns of kinds.';

REVOKE ALL ON FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.register_kind(p_kind text, p_settings jsonb) TO service_role;
