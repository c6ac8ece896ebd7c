CREATE FUNCTION filaviva.refuse_job_request(p_job jsonb, p_position integer, p_known text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
declare
  v_field text; v_expected text;
begin
  if jsonb_typeof(p_job) <> 'object' then
    perform filaviva.fail(400, 'invalid_jobs', format('Job %s must be an object, not %s.', p_position, jsonb_typeof(p_job)), 'Send {"kind": …, "payload": …}.');
  end if;
  select k.field into v_field from jsonb_object_keys(p_job) as k(field) where k.field <> all (p_known) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('Job %s has an unknown field %L.', p_position, v_field),
      'The fields are ' || array_to_string(p_known, ', ') || '.');
  end if;
  if octet_length((p_job -> 'payload')::text) > 256000 or octet_length((p_job -> 'metadata')::text) > 64000 then
    perform filaviva.fail(413, 'payload_too_large', format('The payload of job %s is above 250 KB, or its metadata above 62 KB.', p_position),
      'Store large data in a bucket and put its address into the payload.');
  end if;
  select f.field, f.expected into v_field, v_expected
  from (values
    ('kind', 'a string', jsonb_typeof(p_job -> 'kind') is distinct from 'string'),
    ('payload', 'an object', jsonb_typeof(p_job -> 'payload') <> 'object'),
    ('metadata', 'an object', jsonb_typeof(p_job -> 'metadata') <> 'object'),
    ('priority', 'a whole number from 0 to 10', p_job ->> 'priority' !~ '^([0-9]|10)$'),
    ('max_attempts', 'a whole number from 1 to 100', p_job ->> 'max_attempts' !~ '^([1-9][0-9]?|100)$'),
    ('group_key', 'a string of 1 to 200 characters', length(p_job ->> 'group_key') not between 1 and 200),
    ('idempotency_key', 'a string of 1 to 200 characters', length(p_job ->> 'idempotency_key') not between 1 and 200),
    ('instance_id', 'a string of 1 to 200 characters', length(p_job ->> 'instance_id') not between 1 and 200),
    ('correlation_id', 'a string of at most 200 characters', length(p_job ->> 'correlation_id') > 200),
    ('a number', 'between -1e308 and 1e308', p_job @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))')
  ) as f(field, expected, wrong)
  where f.wrong limit 1;
  if not found then
    v_field := case when p_job ->> 'scheduled_at' !~ '^[0-9]{4}-.*[0-9Z]$' or not p_job ? 'expires_at' then 'scheduled_at' else 'expires_at' end;
    v_expected := 'an ISO 8601 time such as 2026-11-21T12:00:00Z';
  end if;
  perform filaviva.fail(400, 'invalid_field', format('%s of job %s must be %s.', v_field, p_position, v_expected), 'Correct the field and send the call again.');
end
$_$;

COMMENT ON FUNCTION filaviva.refuse_job_request(p_job jsonb, p_position integer, p_known text[]) IS 'Says what is wrong with an element that did not pass the check.';

REVOKE ALL ON FUNCTION filaviva.refuse_job_request(p_job jsonb, p_position integer, p_known text[]) FROM PUBLIC;
