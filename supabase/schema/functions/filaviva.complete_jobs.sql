CREATE FUNCTION filaviva.complete_jobs(p_results filaviva.settlement[], p_now timestamp with time zone) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'on'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_ids uuid[] := array(select r.job_id from unnest(p_results) r order by 1);
  v_done uuid[] := '{}';
  v_queue record;
begin
  for v_queue in
    with done as (
      update public.jobs j set
        status = 'completed', finished_at = p_now, lease_expires_at = null, progress = 100,
        result = coalesce(r.result, j.result), error_code = null, error_message = null,
        version = j.version + 1, updated_at = p_now
      from unnest(p_results) r
      where j.id = r.job_id and j.id = any (v_ids) and j.claim_id = r.claim_id and j.status = 'processing'
      returning j.id, j.queue, j.group_key, j.msg_id
    )
    select d.queue, array_agg(d.id) as ids, array_agg(d.msg_id) as msg_ids, bool_or(d.group_key is not null) as grouped, count(*) as completed
    from done d group by d.queue order by d.queue
  loop
    v_done := v_done || v_queue.ids;
    perform filaviva.finish(v_queue.queue, v_queue.ids, v_queue.msg_ids, v_queue.grouped, p_now, v_queue.completed, 0, 0, 0, 0);
  end loop;
  if exists (select from filaviva.job_checkpoints) then
    delete from filaviva.job_checkpoints c where c.job_id = any (v_done);
  end if;
  return v_done;
end
$$;

COMMENT ON FUNCTION filaviva.complete_jobs(p_results filaviva.settlement[], p_now timestamp with time zone) IS 'Completes those of some jobs, in the order of their ids, whose claims hold; answers which. Their groups must be locked.';

REVOKE ALL ON FUNCTION filaviva.complete_jobs(p_results filaviva.settlement[], p_now timestamp with time zone) FROM PUBLIC;
