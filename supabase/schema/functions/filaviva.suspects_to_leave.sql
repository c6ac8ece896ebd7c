CREATE FUNCTION filaviva.suspects_to_leave(p_queue text, p_suspects uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_one_runs boolean := coalesce(current_setting('filaviva.suspect_taken', true), '') = p_queue
    or not pg_try_advisory_xact_lock(hashtext('filaviva.suspect'), hashtext(p_queue));
begin
  if not v_one_runs then
    v_one_runs := exists (
      select from filaviva.deliveries(p_queue, 'hidden') d join public.jobs j on j.id = d.job_id and j.msg_id = d.msg_id
      where j.status = 'processing' and j.error_code = 'worker_lost' and j.attempt >= j.max_attempts
    );
  end if;
  if not v_one_runs then
    perform set_config('filaviva.suspect_taken', p_queue, true);  -- for the other looks of this claim
  end if;
  return case when v_one_runs then p_suspects else p_suspects[2:] end;
end
$$;

COMMENT ON FUNCTION filaviva.suspects_to_leave(p_queue text, p_suspects uuid[]) IS 'Which of the due jobs that lost their worker and have one attempt left have to wait: one of a queue runs at a time, so that a job that kills its worker does not take the others along that ran beside it.';

REVOKE ALL ON FUNCTION filaviva.suspects_to_leave(p_queue text, p_suspects uuid[]) FROM PUBLIC;
