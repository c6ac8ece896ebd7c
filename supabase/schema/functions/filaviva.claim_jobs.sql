CREATE FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_queue public.queues;
  v_earlier filaviva.claim_requests;
  v_limit int := least(greatest(p_limit, 0), 1000);
  v_urgent int; v_window record; v_due uuid[];
  v_jobs jsonb := '[]';
  v_state text;
begin
  select * into v_queue from public.queues q where q.name = p_queue;
  if not found then
    perform filaviva.fail(404, 'unknown_queue', format('There is no queue %L.', p_queue), 'Make it with create_queue(), or correct its name.');
  end if;
  if p_request_id is null then
    perform filaviva.fail(400, 'invalid_field', 'p_request_id must be a uuid.', 'Make a new one for each claim, and repeat it only to repeat that claim.');
  end if;
  if not pg_try_advisory_xact_lock(hashtext('filaviva.request'), hashtext(p_request_id::text)) then
    return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', null, 'state', 'busy');  -- the first call with this id still runs
  end if;
  select * into v_earlier from filaviva.claim_requests r where r.request_id = p_request_id;
  if found then
    return jsonb_build_object('jobs', filaviva.claimed_jobs(v_earlier.job_ids, v_earlier.claim_ids),
      'next_due_in_ms', filaviva.next_due_in_ms(p_queue, v_now), 'state', 'ok');
  end if;

  if v_queue.paused_at is not null then
    return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', null, 'state', 'paused');
  end if;
  if v_queue.concurrency is not null then
    if not pg_try_advisory_xact_lock(hashtext('filaviva.claim'), hashtext(p_queue)) then
      return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', filaviva.next_due_in_ms(p_queue, v_now), 'state', 'busy');
    end if;
    v_limit := least(v_limit, v_queue.concurrency - filaviva.running(p_queue));
  end if;

  if v_limit > 0 then
    perform filaviva.release_later(p_queue, v_now, greatest(4 * v_limit, 100));
    perform filaviva.release_groups(p_queue, v_now, greatest(4 * v_limit, 100));
    -- Above the lowest priority everything waits in jobs; pgmq holds the head of the lowest; behind it
    -- the rest of the lowest waits in jobs again.
    v_urgent := cardinality(filaviva.take_due(p_queue, 1, v_limit));
    select * into v_window from filaviva.read_window(p_queue, filaviva.hidden_seconds(v_queue), v_limit - v_urgent);
    v_due := filaviva.take_due(p_queue, 0, v_limit - cardinality(v_window.job_ids));
    if v_due <> '{}' or v_window.job_ids <> '{}' then
      v_jobs := filaviva.start_jobs(v_queue, v_now, p_worker_id, p_request_id, v_due || v_window.job_ids,
        filaviva.send_messages(p_queue, v_due, filaviva.hidden_seconds(v_queue)) || v_window.msg_ids);
    end if;
  end if;

  v_state := case when v_limit <= 0 then 'enough' when v_jobs = '[]' then 'empty' else 'ok' end;
  return jsonb_build_object('jobs', v_jobs, 'next_due_in_ms', filaviva.next_due_in_ms(p_queue, v_now), 'state', v_state);
end
$$;

COMMENT ON FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) IS 'Takes up to p_limit jobs: {jobs, next_due_in_ms, state: ok|empty|busy|paused|enough}. The same request id again answers the same still-held jobs and claims no others.';

REVOKE ALL ON FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.claim_jobs(p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) TO service_role;
