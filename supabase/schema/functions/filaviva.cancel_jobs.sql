CREATE FUNCTION filaviva.cancel_jobs(p_filter jsonb, p_limit integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  c_unfinished constant text[] := array['pending', 'processing', 'retrying'];
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_waiting uuid[]; v_running uuid[];
  v_is_committed boolean;
  v_now timestamptz;
begin
  select array_agg(f.id), max(f.seq) into v_found, v_last from filaviva.find_jobs(p_filter, c_unfinished, v_limit, p_open => true) f;
  perform filaviva.lock_jobs(v_found);
  v_now := filaviva.now();
  select array_agg(j.id) filter (where j.status <> 'processing'), array_agg(j.id) filter (where j.status = 'processing')
  into v_waiting, v_running
  from public.jobs j where j.id = any (v_found) and j.finished_at is null and j.committed_at is null;

  if v_waiting is null and v_running is null and not p_filter ? 'after' then
    select count(*) = 1 and bool_and(f.committed_at is not null) into v_is_committed from filaviva.find_jobs(p_filter, c_unfinished, 2) f;
    if v_is_committed then
      perform filaviva.fail(409, 'already_committed', 'The job has passed its point of no return; it can no longer be cancelled.',
        'Wait for its outcome, or undo the effect where it took place.');
    end if;
  end if;
  perform filaviva.cancel_waiting(v_waiting, v_now);
  update public.jobs j set cancel_requested_at = v_now, version = j.version + 1, updated_at = v_now where j.id = any (v_running);

  return jsonb_build_object(
    'matched', coalesce(cardinality(v_found), 0),
    'changed', coalesce(cardinality(v_waiting), 0) + coalesce(cardinality(v_running), 0),
    'job_ids', to_jsonb(coalesce(v_waiting, '{}') || coalesce(v_running, '{}')),
    'cursor', case when cardinality(v_found) = v_limit then v_last end
  );
end
$$;

COMMENT ON FUNCTION filaviva.cancel_jobs(p_filter jsonb, p_limit integer) IS 'Cancels the caller''s unfinished jobs that match, the oldest first. Waiting ones end now, processing ones are asked to; committed ones are left alone (PT409 when it is the only one, unless this is a further page).';

REVOKE ALL ON FUNCTION filaviva.cancel_jobs(p_filter jsonb, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.cancel_jobs(p_filter jsonb, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION filaviva.cancel_jobs(p_filter jsonb, p_limit integer) TO service_role;
