CREATE FUNCTION filaviva.check_job_requests(p_jobs jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
declare
  c_known constant text[] := array['kind', 'queue', 'payload', 'metadata', 'priority', 'group_key', 'idempotency_key',
    'correlation_id', 'scheduled_at', 'expires_at', 'max_attempts', 'company_id', 'instance_id', 'user_id'];
  c_time constant text := '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?$';
  -- No number that a caller's JSON cannot hold: whoever reads one such job would lose the whole answer.
  c_huge constant jsonpath := '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))';
  v_text text;
  v_is_long boolean; v_has_digits boolean;
  v_bad int;
begin
  if p_jobs is null or jsonb_typeof(p_jobs) <> 'array' or jsonb_array_length(p_jobs) not between 1 and 10000 then
    perform filaviva.fail(400, 'invalid_jobs', 'p_jobs must be an array of 1 to 10,000 jobs.', 'Send [{"kind": …, "payload": …}, …].');
  end if;
  v_text := p_jobs::text;  -- what is rare is looked for once in the whole
  v_is_long := octet_length(v_text) > 64000;
  v_has_digits := v_text ~ '[0-9]{250}';
  select e.ord - 1 into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord)
  where case when jsonb_typeof(e.job) <> 'object' then true else
    (e.job - c_known) <> '{}'
    or jsonb_typeof(e.job -> 'kind') is distinct from 'string'
    or jsonb_typeof(e.job -> 'payload') <> 'object'
    or jsonb_typeof(e.job -> 'metadata') <> 'object'
    or e.job ->> 'priority' !~ '^([0-9]|10)$'
    or e.job ->> 'max_attempts' !~ '^([1-9][0-9]?|100)$'
    or length(e.job ->> 'group_key') not between 1 and 200
    or length(e.job ->> 'idempotency_key') not between 1 and 200
    or length(e.job ->> 'correlation_id') > 200
    or length(e.job ->> 'instance_id') not between 1 and 200
    or e.job ->> 'scheduled_at' !~ c_time
    or e.job ->> 'expires_at' !~ c_time
    or (v_is_long and (octet_length((e.job -> 'payload')::text) > 256000 or octet_length((e.job -> 'metadata')::text) > 64000))
    or (v_has_digits and e.job @? c_huge)
    end
  order by e.ord limit 1;
  if found then
    perform filaviva.refuse_job_request(p_jobs -> v_bad, v_bad, c_known);
  end if;
end
$_$;

COMMENT ON FUNCTION filaviva.check_job_requests(p_jobs jsonb) IS 'Raises an error that names the first wrong position and field of an enqueue call.';

REVOKE ALL ON FUNCTION filaviva.check_job_requests(p_jobs jsonb) FROM PUBLIC;
