CREATE FUNCTION filaviva.heal_groups(p_queue public.queues, p_after bigint, p_last bigint) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_rows int; v_heads int;
begin
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct j.queue, j.group_key, v_now from public.jobs j
  where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.blocked_by like 'group:%'
    and not exists (select from filaviva.job_groups g where g.queue = j.queue and g.group_key = j.group_key)
  on conflict do nothing;
  get diagnostics v_rows = row_count;
  update filaviva.job_groups g set active_job_id = null, next_at = v_now
  from (
    select l.queue, l.group_key from filaviva.job_groups l
    where l.queue = p_queue.name and l.active_job_id is not null
      and not exists (select from public.jobs j where j.id = l.active_job_id and j.finished_at is null)
    for update skip locked
  ) w
  where g.queue = w.queue and g.group_key = w.group_key;
  get diagnostics v_heads = row_count;
  return v_rows + v_heads;
end
$$;

COMMENT ON FUNCTION filaviva.heal_groups(p_queue public.queues, p_after bigint, p_last bigint) IS 'Gives waiting jobs their group row back, and frees groups whose head is gone.';

REVOKE ALL ON FUNCTION filaviva.heal_groups(p_queue public.queues, p_after bigint, p_last bigint) FROM PUBLIC;
