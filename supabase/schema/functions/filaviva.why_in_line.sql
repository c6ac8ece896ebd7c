CREATE FUNCTION filaviva.why_in_line(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_ahead int := filaviva.ahead_in_line(p_job);
  v_running int := filaviva.running(p_job.queue);
  v_claimed_at timestamptz := (select c.claimed_at from filaviva.claim_times c where c.queue = p_job.queue);
begin
  return jsonb_build_object('ahead', v_ahead, 'expected_at', filaviva.expected_at(p_job.queue, v_ahead, p_now)) || case
    when v_running >= p_queue.concurrency
      then jsonb_build_object('reason', 'concurrency', 'key', p_job.queue, 'details', jsonb_build_object('running', v_running, 'concurrency', p_queue.concurrency))
    -- The tick wakes a drain every ten seconds: twice that without a claim means that none comes.
    when coalesce(v_claimed_at, p_job.updated_at) < p_now - interval '20 seconds'
      then jsonb_build_object('reason', 'no_drain', 'key', p_job.queue, 'expected_at', null, 'details', jsonb_build_object(
        'seconds', floor(extract(epoch from p_now - coalesce(v_claimed_at, p_job.updated_at)))::int))
    else jsonb_build_object('reason', 'in_line', 'key', p_job.queue)
  end;
end
$$;

COMMENT ON FUNCTION filaviva.why_in_line(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) IS 'Why a due job does not run yet: others are before it, all slots are taken, or nobody asks for work.';

REVOKE ALL ON FUNCTION filaviva.why_in_line(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) FROM PUBLIC;
