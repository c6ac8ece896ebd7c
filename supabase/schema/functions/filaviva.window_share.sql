CREATE FUNCTION filaviva.window_share(p_queue text, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  if not exists (select from filaviva.due_jobs d where d.queue = p_queue and d.priority = 0) then
    return p_limit;
  elsif (filaviva.window_edges(p_queue)).size is null then
    return 0;
  end if;
  -- Both hold jobs: the window's come as far as their turns are among the next ones.
  return (
    select count(*) from (
      select t.waits_in_pgmq from (
        (select true as waits_in_pgmq, coalesce(j.fair_tag, 0) as turn
        from filaviva.deliveries(p_queue, 'ready', p_limit) m
          left join lateral (select x.fair_tag from public.jobs x where x.id = m.job_id offset 0) j on true)
        union all
        (select false, d.turn from filaviva.due_jobs d where d.queue = p_queue and d.priority = 0 order by d.turn, d.seq limit p_limit)
      ) t
      order by t.turn, t.waits_in_pgmq desc
      limit p_limit
    ) n where n.waits_in_pgmq
  );
end
$$;

COMMENT ON FUNCTION filaviva.window_share(p_queue text, p_limit integer) IS 'How many of the next p_limit jobs of the lowest priority stand in pgmq''s window; the others stand in the line.';

REVOKE ALL ON FUNCTION filaviva.window_share(p_queue text, p_limit integer) FROM PUBLIC;
