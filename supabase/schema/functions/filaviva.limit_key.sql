CREATE FUNCTION filaviva.limit_key(p_job public.jobs, p_path text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
begin
  return filaviva.fold_key(case p_path
    when 'queue' then p_job.queue when 'kind' then p_job.kind when 'user_id' then p_job.user_id::text
    when 'company_id' then p_job.company_id::text when 'instance_id' then p_job.instance_id when 'group_key' then p_job.group_key
    else case split_part(p_path, '.', 1) when 'payload' then p_job.payload else p_job.metadata end
      #>> (string_to_array(p_path, '.'))[2:]
  end);
end
$$;

COMMENT ON FUNCTION filaviva.limit_key(p_job public.jobs, p_path text) IS 'What a job counts as under a limit; null when the limit does not concern it.';

REVOKE ALL ON FUNCTION filaviva.limit_key(p_job public.jobs, p_path text) FROM PUBLIC;
