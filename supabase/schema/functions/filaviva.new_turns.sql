CREATE FUNCTION filaviva.new_turns(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_turns bigint[] := array_fill(0::bigint, array[cardinality(p_jobs)]);
  v_turn record;
begin
  -- A turn for each owner's job, from the owner's last one on; later and grouped jobs get theirs when they join the line.
  for v_turn in
    with owners as (
      select n.queue, n.priority, n.user_id, array_agg(n.ord order by n.ord) as ords
      from unnest(p_jobs) n
      where n.group_key is null and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (p_without)
      group by n.queue, n.priority, n.user_id
    ), queues as (
      select o.queue, array_agg(o.priority) as priorities, array_agg(o.user_id) as ids from owners o group by o.queue
    )
    select b.base, o.ords
    from queues q, filaviva.turn_bases(q.queue, q.priorities, q.ids) b, owners o
    where o.queue = q.queue and o.priority = b.priority and coalesce(o.user_id, '00000000-0000-0000-0000-000000000000') = coalesce(b.owner, '00000000-0000-0000-0000-000000000000')
  loop
    for v_i in 1 .. cardinality(v_turn.ords) loop
      v_turns[v_turn.ords[v_i]] := v_turn.base + v_i;
    end loop;
  end loop;
  return v_turns;
end
$$;

COMMENT ON FUNCTION filaviva.new_turns(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) IS 'The turn of each new job by its position; 0 for one that does not join the line now.';

REVOKE ALL ON FUNCTION filaviva.new_turns(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) FROM PUBLIC;
