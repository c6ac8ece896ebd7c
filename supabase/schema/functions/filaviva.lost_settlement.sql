CREATE FUNCTION filaviva.lost_settlement(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object('job_id', p_job.id, 'claim_id', p_job.claim_id) || case
    when p_job.mode = 'reconcile' then jsonb_build_object('outcome', 'snooze', 'after_seconds', 5, 'error', jsonb_build_object('code', 'worker_lost',
      'message', 'The worker was lost while it was finding out what had happened; it is asked again.'))
    when p_job.committed_at is not null then jsonb_build_object('outcome', 'unconfirmed', 'error', jsonb_build_object('code', 'worker_lost',
      'message', 'The worker was lost after the point of no return; whether the call took effect is not known.'))
    when p_job.started_at + make_interval(secs => p_queue.stall_seconds) < p_now and p_queue.on_stall = 'fail'
      then jsonb_build_object('outcome', 'reject', 'error', jsonb_build_object('code', 'stalled',
      'message', format('The job was processing for more than %s seconds.', p_queue.stall_seconds)))
    else jsonb_build_object('outcome', 'retry', 'error', jsonb_build_object('code', 'worker_lost',
      'message', 'The worker was lost before the point of no return; nothing irreversible happened.'))
  end
$$;

COMMENT ON FUNCTION filaviva.lost_settlement(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) IS 'How a lost claim ends: to be found out after the point of no return, else as on_stall says or another attempt. Who was finding out proves nothing by dying.';

REVOKE ALL ON FUNCTION filaviva.lost_settlement(p_job public.jobs, p_queue public.queues, p_now timestamp with time zone) FROM PUBLIC;
