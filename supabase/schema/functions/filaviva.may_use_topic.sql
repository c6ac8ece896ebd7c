CREATE FUNCTION filaviva.may_use_topic(p_topic text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  c_uuid constant text := '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$';
  v_name constant text := split_part(p_topic, ':', 1);
  v_id constant text := substr(p_topic, length(split_part(p_topic, ':', 1)) + 2);
begin
  if coalesce(v_id, '') !~ c_uuid then  -- also keeps the casts below from failing
    return false;
  end if;
  return case v_name
    when 'atendente' then v_id::uuid = (select auth.uid())
    when 'empresa' then v_id::uuid in (select filaviva.my_companies())
    when 'presence' then v_id::uuid in (select filaviva.my_companies())
    else false
  end;
end
$_$;

COMMENT ON FUNCTION filaviva.may_use_topic(p_topic text) IS 'Whether the signed-in user may hear and speak on a private topic of Realtime.';

REVOKE ALL ON FUNCTION filaviva.may_use_topic(p_topic text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.may_use_topic(p_topic text) TO authenticated;
