CREATE FUNCTION filaviva.heal_places(p_queue public.queues, p_after bigint, p_last bigint) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_healed int; v_keys int;
begin
  update public.jobs j set next_run_at = v_now, version = j.version + 1, updated_at = v_now
  from (
    select l.id from public.jobs l
    where l.seq > p_after and l.seq <= p_last and l.queue = p_queue.name and l.finished_at is null
      and l.msg_id is null and l.next_run_at is null and l.blocked_by is null
      and not exists (select from filaviva.due_jobs d where d.queue = l.queue and d.priority = l.priority and d.turn = l.fair_tag and d.seq = l.seq)
    for update skip locked
  ) w
  where j.id = w.id;
  get diagnostics v_healed = row_count;
  insert into filaviva.parked_keys (queue, limiter, key, next_at)
  select distinct j.queue, split_part(j.blocked_by, ':', 2), substr(j.blocked_by, length('limit:' || split_part(j.blocked_by, ':', 2)) + 2), v_now
  from public.jobs j
  where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.blocked_by like 'limit:%'
    and not exists (select from filaviva.parked_keys k where k.queue = j.queue and j.blocked_by = 'limit:' || k.limiter || ':' || k.key)
  on conflict do nothing;
  get diagnostics v_keys = row_count;
  return v_healed + v_keys;
end
$$;

COMMENT ON FUNCTION filaviva.heal_places(p_queue public.queues, p_after bigint, p_last bigint) IS 'Gives due jobs that stand in no line, and limits whose key row is missing, their row back.';

REVOKE ALL ON FUNCTION filaviva.heal_places(p_queue public.queues, p_after bigint, p_last bigint) FROM PUBLIC;
