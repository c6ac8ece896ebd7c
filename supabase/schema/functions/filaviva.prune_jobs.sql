CREATE FUNCTION filaviva.prune_jobs(p_filter jsonb, p_limit integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_ids uuid[];
begin
  perform filaviva.require_operator();
  select coalesce(array_agg(f.id), '{}'), max(f.seq) into v_found, v_last
  from filaviva.find_jobs(p_filter, array['completed', 'failed', 'cancelled', 'unconfirmed'], v_limit) f;
  v_ids := filaviva.delete_finished(v_found);
  return jsonb_build_object(
    'matched', cardinality(v_found),
    'changed', cardinality(v_ids),
    'job_ids', to_jsonb(v_ids),
    'cursor', case when cardinality(v_found) = v_limit then v_last end
  );
end
$$;

COMMENT ON FUNCTION filaviva.prune_jobs(p_filter jsonb, p_limit integer) IS 'For operators: deletes finished jobs that match, whatever their age, at most 1,000 a call; call again while there is a cursor, with it as the filter''s `after`. Unfinished jobs are never deleted.';

REVOKE ALL ON FUNCTION filaviva.prune_jobs(p_filter jsonb, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.prune_jobs(p_filter jsonb, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION filaviva.prune_jobs(p_filter jsonb, p_limit integer) TO service_role;
