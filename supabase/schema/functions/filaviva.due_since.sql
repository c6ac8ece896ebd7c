CREATE FUNCTION filaviva.due_since(p_queue text, p_now timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
begin
  return (
    select min(w.since) from (
      select j.updated_at as since from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'ready', 100) d)) and j.status in ('pending', 'retrying')
      union all
      -- The longest waiting stands near the front of its priority, since every owner's first does.
      select j.updated_at
      from generate_series(0, 10) as p(priority),
        lateral (
          select d.job_id from filaviva.due_jobs d where d.queue = p_queue and d.priority = p.priority order by d.turn, d.seq limit 100
        ) f
        join public.jobs j on j.id = f.job_id
      union all
      -- Its time has come, and nobody has released it yet: a claim or the tick would have.
      select min(j.next_run_at) from public.jobs j where j.queue = p_queue and j.next_run_at is not null and j.next_run_at <= p_now
      union all
      select greatest(h.next_at, b.updated_at)
      from (
          (select 'group:' || g.group_key as blocked_by, g.next_at from filaviva.job_groups g
            where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now order by g.next_at limit 100)
          union all
          (select 'limit:' || k.limiter || ':' || k.key, k.next_at from filaviva.parked_keys k
            where k.queue = p_queue and k.next_at <= p_now order by k.next_at limit 100)
        ) h,
        lateral (
          select j.updated_at from public.jobs j where j.queue = p_queue and j.blocked_by = h.blocked_by order by j.priority desc, j.seq limit 1
        ) b
    ) w
  );
end
$$;

COMMENT ON FUNCTION filaviva.due_since(p_queue text, p_now timestamp with time zone) IS 'Since when the longest waiting of the jobs that may run now could have run; null when none waits. Jobs scheduled ahead, backing off, behind a running head or under a spent limit do not count.';

REVOKE ALL ON FUNCTION filaviva.due_since(p_queue text, p_now timestamp with time zone) FROM PUBLIC;
