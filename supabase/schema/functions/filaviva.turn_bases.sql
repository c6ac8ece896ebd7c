CREATE FUNCTION filaviva.turn_bases(p_queue text, p_priorities integer[], p_owners uuid[]) RETURNS TABLE(priority integer, owner uuid, front bigint, base bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_window filaviva.window_edges := case when 0 = any (p_priorities) then filaviva.window_edges(p_queue) end;
begin
  return query
  with fronts as materialized (
    select p.priority, coalesce(least(
        (select d.turn from filaviva.due_jobs d where d.queue = p_queue and d.priority = p.priority order by d.turn, d.seq limit 1),
        case when p.priority = 0 then v_window.first_turn end
      ), 0) as front
    from (select distinct u.priority from unnest(p_priorities) as u(priority)) p
  )
  select k.priority, k.owner, f.front, greatest(
      f.front,
      case when k.priority = 0 and v_window.size > 0 and v_window.owner is not distinct from k.owner then v_window.last_turn end,
      (
        select d.turn from filaviva.due_jobs d
        where d.queue = p_queue and d.owner = coalesce(k.owner, '00000000-0000-0000-0000-000000000000') and d.priority = k.priority
        order by d.turn desc limit 1
      )
    )
  from unnest(p_priorities, p_owners) as k(priority, owner)
  join fronts f on f.priority = k.priority;
end
$$;

COMMENT ON FUNCTION filaviva.turn_bases(p_queue text, p_priorities integer[], p_owners uuid[]) IS 'For priorities and owners of a queue: the front of the line, and the turn after which an owner''s next job comes, its last one in the line or the window.';

REVOKE ALL ON FUNCTION filaviva.turn_bases(p_queue text, p_priorities integer[], p_owners uuid[]) FROM PUBLIC;
