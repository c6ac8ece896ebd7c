CREATE FUNCTION filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_heads uuid[] := array(
    select g.active_job_id
    from filaviva.job_groups g join (
      select n.queue, n.group_key, max(n.priority) as priority from unnest(p_jobs) n
      where n.group_key is not null and n.priority > 0 and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (p_without)
      group by n.queue, n.group_key
    ) h on h.queue = g.queue and h.group_key = g.group_key
    join public.jobs j on j.id = g.active_job_id
    where j.msg_id is null and j.next_run_at is null and j.claim_id is null and j.attempt = 0 and j.priority < h.priority
  );
begin
  if v_heads = '{}' then
    return;
  end if;
  perform from public.jobs j where j.id = any (v_heads) order by j.id for update;
  v_heads := array(select j.id from public.jobs j where j.id = any (v_heads) and j.status = 'pending' and j.claim_id is null);
  perform filaviva.leave_line(v_heads);
  update public.jobs j set
    blocked_by = 'group:' || j.group_key, waiting_reason = 'group', version = j.version + 1, updated_at = p_now
  where j.id = any (v_heads);
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (v_heads);
end
$$;

COMMENT ON FUNCTION filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) IS 'A head that was released but never claimed steps back when a job of higher priority joins its group. The groups must be locked.';

REVOKE ALL ON FUNCTION filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) FROM PUBLIC;
