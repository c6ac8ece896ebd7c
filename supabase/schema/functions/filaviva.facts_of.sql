CREATE FUNCTION filaviva.facts_of(p_subject text, p_needs jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $_$
declare
  v_facts jsonb;
begin
  execute format('select filaviva.%I($1)', 'facts_of_' || p_subject) into v_facts using p_needs;
  return v_facts;
exception when others then
  return jsonb_build_object('unknown', sqlerrm);
end
$_$;

COMMENT ON FUNCTION filaviva.facts_of(p_subject text, p_needs jsonb) IS 'The facts of one subject, or {unknown: why} when it cannot be looked at.';

REVOKE ALL ON FUNCTION filaviva.facts_of(p_subject text, p_needs jsonb) FROM PUBLIC;
