CREATE FUNCTION filaviva.cancel_waiting(p_job_ids uuid[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_msgs record;
begin
  for v_msgs in
    select j.queue, array_agg(j.msg_id) as ids from public.jobs j
    where j.id = any (p_job_ids) and j.msg_id is not null group by j.queue order by j.queue
  loop
    perform pgmq.delete(v_msgs.queue, v_msgs.ids);
  end loop;
  perform filaviva.leave_line(p_job_ids);
  update public.jobs j set
    status = 'cancelled', finished_at = p_now, next_run_at = null, blocked_by = null, waiting_reason = null,
    cancel_requested_at = p_now, version = j.version + 1, updated_at = p_now
  where j.id = any (p_job_ids);
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (p_job_ids);
  delete from filaviva.job_checkpoints c where c.job_id = any (p_job_ids);
end
$$;

COMMENT ON FUNCTION filaviva.cancel_waiting(p_job_ids uuid[], p_now timestamp with time zone) IS 'Ends locked jobs that wait; a head frees its group.';

REVOKE ALL ON FUNCTION filaviva.cancel_waiting(p_job_ids uuid[], p_now timestamp with time zone) FROM PUBLIC;
