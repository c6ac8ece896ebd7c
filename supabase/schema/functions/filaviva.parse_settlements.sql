CREATE FUNCTION filaviva.parse_settlements(p_results jsonb) RETURNS filaviva.settlement[]
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
declare
  v_results filaviva.settlement[];
  v_bad record;
begin
  if p_results is null or jsonb_typeof(p_results) <> 'array' then
    perform filaviva.fail(400, 'invalid_results', 'p_results must be an array.', 'Send [{"job_id": …, "claim_id": …, "outcome": …}, …].');
  end if;
  begin
    v_results := array(
      select row(r.ord, r.job_id, r.claim_id, r.outcome, r.result, left(r.error ->> 'code', 100), left(r.error ->> 'message', 2000),
        case when octet_length((r.error -> 'details')::text) <= 16384 then r.error -> 'details' end, r.until, r.after_seconds, r.checkpoint, r.limiter)::filaviva.settlement
      from rows from (jsonb_to_recordset(p_results) as (
          job_id uuid, claim_id bigint, outcome text, result jsonb, error jsonb, until timestamptz, after_seconds numeric, checkpoint jsonb, limiter text
        )) with ordinality as r(job_id, claim_id, outcome, result, error, until, after_seconds, checkpoint, limiter, ord)
      order by r.ord
    );
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_results', 'An element cannot be read: ' || sqlerrm || '.', 'job_id is a uuid, claim_id a number, until an ISO 8601 time.');
  end;
  select p.ord, p.problem into v_bad
  from (
    select r.ord, case
        when r.job_id is null or r.claim_id is null then 'needs job_id and claim_id'
        when r.outcome is null or r.outcome not in ('done', 'retry', 'snooze', 'release', 'reject', 'unconfirmed', 'cancelled', 'hold')
          then 'has no known outcome'
        when r.outcome in ('snooze', 'hold') and r.run_at is null and r.after_seconds is null then format('is a %s without until or after_seconds', r.outcome)
        when not isfinite(r.run_at) or r.after_seconds not between 0 and 315360000 then 'waits for no time within ten years'
        when octet_length(r.result::text) > 65536 then 'has a result above 64 KB'
        when octet_length(r.checkpoint::text) > 65536 then 'has a checkpoint above 64 KB'
        when r.result @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))'
          or r.checkpoint @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))' then 'holds a number beyond 1e308'
      end as problem
    from unnest(v_results) r
  ) p
  where p.problem is not null
  order by p.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_results', format('Element %s %s.', v_bad.ord - 1, v_bad.problem), 'Nothing was settled; correct it and send the call again.');
  end if;
  return v_results;
end
$_$;

COMMENT ON FUNCTION filaviva.parse_settlements(p_results jsonb) IS 'Checks a settle call; the error names the first wrong element.';

REVOKE ALL ON FUNCTION filaviva.parse_settlements(p_results jsonb) FROM PUBLIC;
