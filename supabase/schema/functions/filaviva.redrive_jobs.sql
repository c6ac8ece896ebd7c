CREATE FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_ids uuid[] := '{}';
begin
  select coalesce(array_agg(f.id), '{}'), max(f.seq) into v_found, v_last
  from filaviva.find_jobs(p_filter, array['failed'], v_limit, p_open => true) f;
  if p_dry_run is false then
    perform filaviva.lock_jobs(v_found);
    v_ids := array(select j.id from public.jobs j where j.id = any (v_found) and j.status = 'failed' and j.committed_at is null order by j.seq);
    perform filaviva.start_over(v_ids, filaviva.now());
  end if;
  return jsonb_build_object(
    'matched', cardinality(v_found),
    'changed', cardinality(v_ids),
    'job_ids', to_jsonb(case when p_dry_run is false then v_ids else v_found end),
    'cursor', case when cardinality(v_found) = v_limit then v_last end
  );
end
$$;

COMMENT ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) IS 'Puts the caller''s dead letters that match back to pending with fresh attempts, the oldest first. Skips whatever may have taken effect. A dry run only counts.';

REVOKE ALL ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit integer) TO service_role;
