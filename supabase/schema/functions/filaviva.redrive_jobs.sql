CREATE FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_ids uuid[]; v_last bigint;
begin
  select array_agg(f.id), max(f.seq) into v_ids, v_last from filaviva.find_jobs(p_filter, array['failed'], v_limit) f
  where f.committed_at is null;
  v_ids := coalesce(v_ids, '{}');
  if p_dry_run is false then
    perform filaviva.lock_jobs(v_ids);
    v_ids := array(select j.id from public.jobs j where j.id = any (v_ids) and j.status = 'failed' and j.committed_at is null order by j.seq);
    perform filaviva.start_over(v_ids, filaviva.now());
  end if;
  return jsonb_build_object(
    'matched', cardinality(v_ids),
    'changed', case when p_dry_run is false then cardinality(v_ids) else 0 end,
    'job_ids', to_jsonb(v_ids),
    'cursor', case when cardinality(v_ids) = v_limit then v_last end
  );
end
$$;

COMMENT ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) IS 'Puts the caller''s dead letters that match back to pending with fresh attempts. Skips whatever may have taken effect. A dry run only counts.';

REVOKE ALL ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) TO service_role;
