CREATE FUNCTION filaviva.limit_key(p_job public.jobs, p_path text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
declare
  v_part text;
  v_path text;
  v_value text;
  v_key text;
begin
  foreach v_part in array string_to_array(p_path, '+') loop
    v_path := split_part(v_part, '=', 1);
    v_value := case v_path
      when 'queue' then p_job.queue when 'kind' then p_job.kind when 'user_id' then p_job.user_id::text
      when 'company_id' then p_job.company_id::text when 'instance_id' then p_job.instance_id when 'group_key' then p_job.group_key
      else case split_part(v_path, '.', 1) when 'payload' then p_job.payload else p_job.metadata end
        #>> (string_to_array(v_path, '.'))[2:]
    end;
    if v_value is null or (v_part <> v_path and v_value <> split_part(v_part, '=', 2)) then
      return null;
    end if;
    v_key := concat_ws(':', v_key, v_value);
  end loop;
  return filaviva.fold_key(v_key);
end
$$;

COMMENT ON FUNCTION filaviva.limit_key(p_job public.jobs, p_path text) IS 'What a job counts as under a limit, the values with : between them; null when the limit does not concern it.';

REVOKE ALL ON FUNCTION filaviva.limit_key(p_job public.jobs, p_path text) FROM PUBLIC;
