CREATE FUNCTION filaviva.straight_into_pgmq(p_queue text, p_now timestamp with time zone, p_jobs filaviva.new_job[], p_turns bigint[]) RETURNS integer[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_window filaviva.window_edges;
  v_owners record;
begin
  if exists (select from filaviva.due_jobs d where d.queue = p_queue)
    or exists (select from public.jobs j where j.queue = p_queue and j.next_run_at <= p_now)
    or exists (select from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now)
    or exists (select from public.queue_limits l where l.queue = p_queue)
  then
    return '{}';
  end if;
  -- The window holds jobs of one owner, so that its ends tell all about it; who comes at the same moment joins the line.
  if not pg_try_advisory_xact_lock(hashtext('filaviva.window'), hashtext(p_queue)) then
    return '{}';
  end if;
  select count(distinct coalesce(n.user_id, '00000000-0000-0000-0000-000000000000')) as n, (array_agg(n.user_id))[1] as owner into v_owners
  from unnest(p_jobs) n where n.queue = p_queue;
  v_window := filaviva.window_edges(p_queue);
  if v_owners.n > 1 or (v_window.size > 0 and v_window.owner is distinct from v_owners.owner) then
    return '{}';
  end if;
  return array(
    select n.ord from unnest(p_jobs) n
    where n.queue = p_queue and n.priority = 0 and n.expires_at is null and p_turns[n.ord] > 0
    order by n.ord
    limit greatest((select q.window_size from public.queues q where q.name = p_queue) - coalesce(v_window.size, 0), 0)
  );
end
$$;

COMMENT ON FUNCTION filaviva.straight_into_pgmq(p_queue text, p_now timestamp with time zone, p_jobs filaviva.new_job[], p_turns bigint[]) IS 'The positions of new jobs that overtake nobody by going straight into pgmq, in the order of their turns.';

REVOKE ALL ON FUNCTION filaviva.straight_into_pgmq(p_queue text, p_now timestamp with time zone, p_jobs filaviva.new_job[], p_turns bigint[]) FROM PUBLIC;
