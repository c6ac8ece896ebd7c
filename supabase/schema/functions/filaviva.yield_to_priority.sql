CREATE FUNCTION filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_without integer[], p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_stepped_back uuid[];
begin
  if not exists (select from unnest(p_jobs) n where n.group_key is not null and n.priority > 0) then
    return;
  end if;
  with highest as (
    select n.queue, n.group_key, max(n.priority) as priority from unnest(p_jobs) n
    where n.group_key is not null and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (coalesce(p_without, '{}'))
    group by n.queue, n.group_key
  ), stepped as (
    update public.jobs j set
      fair_tag = null, blocked_by = 'group:' || j.group_key, waiting_reason = 'group', version = j.version + 1, updated_at = p_now
    from filaviva.job_groups g join highest h on h.queue = g.queue and h.group_key = g.group_key
    where j.id = g.active_job_id and j.fair_tag is not null and j.claim_id is null and j.attempt = 0 and j.priority < h.priority
    returning j.id
  )
  select array_agg(s.id) into v_stepped_back from stepped s;
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (v_stepped_back);
end
$$;

COMMENT ON FUNCTION filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_without integer[], p_now timestamp with time zone) IS 'A head that was released but never claimed steps back when a job of higher priority joins its group. The groups must be locked.';

REVOKE ALL ON FUNCTION filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_without integer[], p_now timestamp with time zone) FROM PUBLIC;
