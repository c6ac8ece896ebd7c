CREATE FUNCTION filaviva.start_over(p_job_ids uuid[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  -- The group's row first, as everywhere: an enqueue of the same group waits here, not behind us.
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct j.queue, j.group_key, p_now from public.jobs j where j.id = any (p_job_ids) and j.group_key is not null
  order by 1, 2
  on conflict (queue, group_key) do update set next_at = job_groups.next_at;
  update public.jobs j set
    status = 'pending', mode = 'run', attempt = 0, snoozes = 0, finished_at = null, started_at = null,
    claim_id = null, worker_id = null, committed_at = null, cancel_requested_at = null, msg_id = null, progress = null, progress_note = null,
    blocked_by = case when j.group_key is not null then 'group:' || j.group_key end,
    next_run_at = case when j.group_key is null then p_now end,
    fair_tag = null, waiting_reason = case when j.group_key is not null then 'group' end,
    expires_at = null,  -- who starts it over wants it run
    version = j.version + 1, updated_at = p_now
  where j.id = any (p_job_ids);
  perform filaviva.mark_for_kick(array(select distinct j.queue from public.jobs j where j.id = any (p_job_ids)));
end
$$;

COMMENT ON FUNCTION filaviva.start_over(p_job_ids uuid[], p_now timestamp with time zone) IS 'Makes finished, locked jobs pending with fresh attempts; a job of a group takes its old place, before newer ones.';

REVOKE ALL ON FUNCTION filaviva.start_over(p_job_ids uuid[], p_now timestamp with time zone) FROM PUBLIC;
