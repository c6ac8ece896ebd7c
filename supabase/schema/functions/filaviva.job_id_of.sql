CREATE FUNCTION filaviva.job_id_of(p_message jsonb) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $_$
  select case when p_message ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (p_message ->> 'job_id')::uuid end
$_$;

COMMENT ON FUNCTION filaviva.job_id_of(p_message jsonb) IS 'The job a message speaks of; null for a message that is not ours.';

REVOKE ALL ON FUNCTION filaviva.job_id_of(p_message jsonb) FROM PUBLIC;
