CREATE FUNCTION filaviva.settle_jobs(p_results jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_results filaviva.settlement[] := filaviva.parse_settlements(p_results);
  v_decisions filaviva.decision[];
  v_now timestamptz;
begin
  if v_results = '{}' then
    return '[]';
  end if;
  perform filaviva.lock_jobs(array(select r.job_id from unnest(v_results) r));
  v_now := filaviva.now();
  v_decisions := filaviva.decide(v_results, v_now);
  perform filaviva.apply_decisions(v_decisions, v_now);
  return (
    select jsonb_agg(jsonb_build_object('job_id', d.job_id, 'applied', d.applied, 'status', d.status) order by d.ord)
    from unnest(v_decisions) d
  );
end
$$;

COMMENT ON FUNCTION filaviva.settle_jobs(p_results jsonb) IS 'Ends attempts: [{job_id, claim_id, outcome, result?, error?, after_seconds?, until?, checkpoint?}]. Per element ok, already (sent again), stale (another claim came) or gone.';

REVOKE ALL ON FUNCTION filaviva.settle_jobs(p_results jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.settle_jobs(p_results jsonb) TO service_role;
