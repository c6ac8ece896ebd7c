CREATE FUNCTION filaviva.settle_jobs(p_results jsonb) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '1s'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_results filaviva.settlement[] := filaviva.parse_settlements(p_results);
  v_done filaviva.settlement[];
  v_other filaviva.settlement[];
  v_decisions filaviva.decision[] := '{}';
  v_completed uuid[];
  v_now timestamptz;
begin
  if v_results = '{}' then
    return '[]';
  end if;
  select coalesce(array_agg(f.element order by f.job_id) filter (where f.outcome = 'done'), '{}'),
    coalesce(array_agg(f.element) filter (where f.outcome <> 'done'), '{}')
  into v_done, v_other
  from (
    -- The first element of a claim counts.
    select distinct on (r.job_id, r.claim_id) r as element, r.job_id, r.outcome from unnest(v_results) r order by r.job_id, r.claim_id, r.ord
  ) f;
  if v_other = '{}' then
    perform filaviva.lock_groups(array(select r.job_id from unnest(v_done) r));  -- the one statement below locks the jobs itself
  else
    perform filaviva.lock_jobs(array(select r.job_id from unnest(v_results) r));
  end if;
  v_now := filaviva.now();
  v_completed := filaviva.complete_jobs(v_done, v_now);
  if cardinality(v_completed) = cardinality(v_results) then
    return (select json_agg(json_build_object('job_id', r.job_id, 'applied', 'ok', 'status', 'completed')) from unnest(v_results) r);
  end if;
  if v_other <> '{}' then
    v_decisions := filaviva.decide(v_other, v_now);
    perform filaviva.apply_decisions(v_decisions, v_now);
  end if;
  return (
    select json_agg(json_build_object('job_id', r.job_id, 'applied', coalesce(d.applied, e.applied), 'status', j.status) order by r.ord)
    from unnest(v_results) r
    left join public.jobs j on j.id = r.job_id
    left join unnest(v_decisions) d on d.ord = r.ord,
    lateral (
      select case
        when j.id is null then 'gone'
        when j.claim_id is distinct from r.claim_id then 'stale'
        when r.job_id = any (v_completed) and not exists (
          select from unnest(v_results) b where b.job_id = r.job_id and b.claim_id = r.claim_id and b.ord < r.ord) then 'ok'
        else 'already'
      end as applied
    ) e
  );
end
$$;

COMMENT ON FUNCTION filaviva.settle_jobs(p_results jsonb) IS 'Ends attempts: [{job_id, claim_id, outcome, result?, error?, after_seconds?, until?, checkpoint?, limiter?}]. Per element ok, already (sent again), stale (another claim came) or gone.';

REVOKE ALL ON FUNCTION filaviva.settle_jobs(p_results jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.settle_jobs(p_results jsonb) TO service_role;
