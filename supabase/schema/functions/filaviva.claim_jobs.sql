CREATE FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_queue public.queues;
  v_earlier filaviva.claim_requests;
  v_limit int := least(greatest(coalesce(p_limit, 0), 0), 1000);
  v_taken record;
begin
  select * into v_queue from public.queues q where q.name = p_queue;
  if not found then
    perform filaviva.fail(404, 'unknown_queue', format('There is no queue %L.', p_queue), 'Make it with create_queue(), or correct its name.');
  end if;
  if p_request_id is null then
    perform filaviva.fail(400, 'invalid_field', 'p_request_id must be a uuid.', 'Make a new one for each claim, and repeat it only to repeat that claim.');
  end if;
  if not pg_try_advisory_xact_lock(hashtext('filaviva.request'), hashtext(p_request_id::text)) then
    return json_build_object('jobs', '[]'::json, 'next_due_in_ms', null, 'state', 'busy');  -- the first call with this id still runs
  end if;
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return filaviva.claim_answer(filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids), p_queue, v_now, 'ok');
  end if;

  perform filaviva.note_claim(p_queue, v_now);
  if v_queue.paused_at is not null then
    return json_build_object('jobs', '[]'::json, 'next_due_in_ms', null, 'state', 'paused');
  end if;
  if v_queue.concurrency is not null then
    if not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(p_queue)) then
      return filaviva.claim_answer('[]', p_queue, v_now, 'busy');
    end if;
    v_limit := least(v_limit, v_queue.concurrency - filaviva.running(p_queue));
  end if;
  if v_limit <= 0 then
    return filaviva.claim_answer('[]', p_queue, v_now, 'enough');
  end if;

  perform filaviva.release_jobs(p_queue, v_now, greatest(4 * v_limit, 100));
  select * into v_taken from filaviva.take_jobs(v_queue, v_limit, v_now);
  if v_taken.job_ids = '{}' then
    return filaviva.claim_answer('[]', p_queue, v_now, 'empty');
  end if;
  return filaviva.claim_answer(
    filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, v_taken.job_ids, v_taken.msg_ids), p_queue, v_now, 'ok');
end
$$;

COMMENT ON FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) IS 'Takes up to p_limit jobs: {jobs, next_due_in_ms, state: ok|empty|busy|paused|enough}. The same request id again answers the same still-held jobs and claims no others.';

REVOKE ALL ON FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) TO service_role;
