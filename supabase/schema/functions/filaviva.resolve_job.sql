CREATE FUNCTION filaviva.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz;
  v_job public.jobs;
  v_owner uuid := case when filaviva.is_operator() then null else filaviva.caller_id() end;
begin
  if p_happened is null or octet_length(p_result::text) > 65536 then
    perform filaviva.fail(400, 'invalid_field', 'p_happened must be true or false, and p_result at most 64 KB.', 'Say whether the effect took place.');
  end if;
  perform filaviva.lock_jobs(array[p_job_id]);
  select * into v_job from public.jobs j where j.id = p_job_id and (v_owner is null or j.user_id = v_owner);
  if not found then
    perform filaviva.fail(404, 'unknown_job', format('There is no job %s.', p_job_id), 'Check the id; finished jobs are pruned after their retention.');
  end if;
  if v_job.status <> 'unconfirmed' then
    perform filaviva.fail(409, 'not_unconfirmed', format('The job is %s; only an unconfirmed one can be resolved.', v_job.status), 'Look at the job''s status; redrive_jobs() is for failed ones.');
  end if;
  v_now := filaviva.now();
  if p_happened then
    update public.jobs j set
      status = 'completed', result = coalesce(p_result, j.result), error_code = null, error_message = null, progress = 100,
      version = j.version + 1, updated_at = v_now
    where j.id = p_job_id;
  else
    perform filaviva.start_over(array[p_job_id], v_now);
  end if;
  return (select jsonb_build_object('job_id', j.id, 'status', j.status, 'version', j.version) from public.jobs j where j.id = p_job_id);
end
$$;

COMMENT ON FUNCTION filaviva.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) IS 'The word of a person on an unconfirmed job: it happened (completed), or it did not (run again with fresh attempts).';

REVOKE ALL ON FUNCTION filaviva.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) TO authenticated;
GRANT ALL ON FUNCTION filaviva.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) TO service_role;
