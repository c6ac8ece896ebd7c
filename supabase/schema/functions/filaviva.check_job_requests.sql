CREATE FUNCTION filaviva.check_job_requests(p_jobs jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
declare
  c_known constant text[] := array['kind', 'queue', 'payload', 'metadata', 'priority', 'group_key', 'idempotency_key',
    'correlation_id', 'scheduled_at', 'max_attempts', 'company_id', 'instance_id', 'user_id'];
  v_bad record;
begin
  if p_jobs is null or jsonb_typeof(p_jobs) <> 'array' or jsonb_array_length(p_jobs) not between 1 and 10000 then
    perform filaviva.fail(400, 'invalid_jobs', 'p_jobs must be an array of 1 to 10,000 jobs.', 'Send [{"kind": …, "payload": …}, …].');
  end if;

  select e.ord, jsonb_typeof(e.job) as found into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord)
  where jsonb_typeof(e.job) <> 'object'
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_jobs', format('Job %s must be an object, not %s.', v_bad.ord - 1, v_bad.found), 'Send {"kind": …, "payload": …}.');
  end if;

  select e.ord, k.field into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord), jsonb_object_keys(e.job) as k(field)
  where k.field <> all (c_known)
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('Job %s has an unknown field %L.', v_bad.ord - 1, v_bad.field),
      'The fields are ' || array_to_string(c_known, ', ') || '.');
  end if;

  select e.ord, f.field, f.expected into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord),
    lateral (values
      ('kind', 'a string', jsonb_typeof(e.job -> 'kind') is distinct from 'string'),
      ('payload', 'an object', coalesce(jsonb_typeof(e.job -> 'payload'), 'object') <> 'object'),
      ('metadata', 'an object', coalesce(jsonb_typeof(e.job -> 'metadata'), 'object') <> 'object'),
      ('priority', 'a whole number from 0 to 10', coalesce(e.job ->> 'priority', '0') !~ '^([0-9]|10)$'),
      ('max_attempts', 'a whole number from 1 to 100', coalesce(e.job ->> 'max_attempts', '1') !~ '^([1-9][0-9]?|100)$'),
      ('group_key', 'a string of 1 to 200 characters', coalesce(length(e.job ->> 'group_key'), 1) not between 1 and 200),
      ('idempotency_key', 'a string of 1 to 200 characters', coalesce(length(e.job ->> 'idempotency_key'), 1) not between 1 and 200),
      ('scheduled_at', 'an ISO 8601 time such as 2026-11-21T12:00:00Z', coalesce(e.job ->> 'scheduled_at', '2026-01-01T00:00')
        !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?$'),
      ('correlation_id', 'a string of at most 200 characters', coalesce(length(e.job ->> 'correlation_id'), 0) > 200)
    ) as f(field, expected, wrong)
  where f.wrong
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('%s of job %s must be %s.', v_bad.field, v_bad.ord - 1, v_bad.expected), 'Correct the field and send the call again.');
  end if;

  select e.ord, octet_length((e.job -> 'payload')::text) as size into v_bad
  from jsonb_array_elements(p_jobs) with ordinality as e(job, ord)
  where octet_length((e.job -> 'payload')::text) > 256000 or octet_length((e.job -> 'metadata')::text) > 64000
  order by e.ord limit 1;
  if found then
    perform filaviva.fail(413, 'payload_too_large', format('The payload of job %s is above 250 KB, or its metadata above 62 KB.', v_bad.ord - 1),
      'Store large data in a bucket and put its address into the payload.');
  end if;
end
$_$;

COMMENT ON FUNCTION filaviva.check_job_requests(p_jobs jsonb) IS 'Raises an error that names the first wrong position and field of an enqueue call.';

REVOKE ALL ON FUNCTION filaviva.check_job_requests(p_jobs jsonb) FROM PUBLIC;
