CREATE FUNCTION filaviva.waiting_jobs(p_queue text, p_limit integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return array(
    select w.id from (
      (select j.id from filaviva.due_jobs d join public.jobs j on j.id = d.job_id
        where d.queue = p_queue and j.committed_at is null order by d.priority desc, d.turn, d.seq limit p_limit)
      union all
      (select j.id from public.jobs j where j.queue = p_queue and j.next_run_at is not null and j.committed_at is null
        order by j.next_run_at limit p_limit)
      union all
      (select j.id from public.jobs j where j.queue = p_queue and j.blocked_by is not null and j.committed_at is null
        order by j.blocked_by, j.priority desc, j.seq limit p_limit)
      union all
      (select j.id from public.jobs j
        where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue, 'ready', p_limit) d))
          and j.status in ('pending', 'retrying') and j.msg_id is not null and j.committed_at is null)
    ) w
    limit p_limit
  );
end
$$;

COMMENT ON FUNCTION filaviva.waiting_jobs(p_queue text, p_limit integer) IS 'Jobs of a queue that wait and may still be cancelled; found in the line, the partial indexes and the window.';

REVOKE ALL ON FUNCTION filaviva.waiting_jobs(p_queue text, p_limit integer) FROM PUBLIC;
