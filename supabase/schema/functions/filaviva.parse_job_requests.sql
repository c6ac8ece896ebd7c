CREATE FUNCTION filaviva.parse_job_requests(p_jobs jsonb) RETURNS filaviva.new_job[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_owner constant uuid := filaviva.caller_id();
  v_jobs filaviva.new_job[];
  v_late int;
begin
  perform filaviva.check_job_requests(p_jobs);
  begin
    v_jobs := array(select r from filaviva.read_job_requests(p_jobs, v_owner) r);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'A field of a job cannot be read: ' || sqlerrm || '.',
      'scheduled_at and expires_at are ISO 8601 times; user_id and company_id are uuids.');
  end;
  perform filaviva.check_targets(v_jobs);
  select n.ord - 1 into v_late from unnest(v_jobs) n where n.expires_at <= n.scheduled_at order by n.ord limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('expires_at of job %s must be later than its scheduled_at.', v_late), 'Correct the field and send the call again.');
  end if;
  return v_jobs;
end
$$;

COMMENT ON FUNCTION filaviva.parse_job_requests(p_jobs jsonb) IS 'Checks a whole enqueue call against form, catalogue and caller; the first error names its position.';

REVOKE ALL ON FUNCTION filaviva.parse_job_requests(p_jobs jsonb) FROM PUBLIC;
