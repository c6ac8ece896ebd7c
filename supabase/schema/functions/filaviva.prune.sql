CREATE FUNCTION filaviva.prune(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_pruned int;
begin
  delete from public.jobs j where j.seq in (
    select o.seq from public.jobs o join public.queues q on q.name = o.queue
    where o.finished_at < v_now - case when o.status in ('failed', 'unconfirmed') then q.retention_failed else q.retention_completed end
    order by o.seq limit p_limit
  );
  get diagnostics v_pruned = row_count;
  delete from filaviva.claim_requests r where r.created_at < clock_timestamp() - interval '1 hour';
  delete from filaviva.kick_marks;
  delete from cron.job_run_details d where d.end_time < clock_timestamp() - interval '7 days';
  perform filaviva.prune_messages();
  return v_pruned;
end
$$;

COMMENT ON FUNCTION filaviva.prune(p_limit integer) IS 'Deletes finished jobs past their queue''s retention, at most p_limit of them, and the history of claims, kicks and cron; answers how many jobs.';

REVOKE ALL ON FUNCTION filaviva.prune(p_limit integer) FROM PUBLIC;
