CREATE FUNCTION filaviva.waiting_counts(p_queue text, OUT due bigint, OUT later bigint, OUT blocked bigint, OUT processing bigint) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  select count(*) filter (where j.status in ('pending', 'retrying')), count(*) filter (where j.status = 'processing')
  into due, processing
  from public.jobs j
  where j.id = any (array(select d.job_id from filaviva.deliveries(p_queue) d)) and j.msg_id is not null and j.finished_at is null;
  due := due + (select count(*) from filaviva.due_jobs d where d.queue = p_queue);
  later := (select count(*) from public.jobs j where j.queue = p_queue and j.next_run_at is not null);
  blocked := (select count(*) from public.jobs j where j.queue = p_queue and j.blocked_by is not null);
end
$$;

COMMENT ON FUNCTION filaviva.waiting_counts(p_queue text, OUT due bigint, OUT later bigint, OUT blocked bigint, OUT processing bigint) IS 'Unfinished jobs of a queue by their place: due (may run now), later (wait for a time), blocked (behind their group or a limit), processing.';

REVOKE ALL ON FUNCTION filaviva.waiting_counts(p_queue text, OUT due bigint, OUT later bigint, OUT blocked bigint, OUT processing bigint) FROM PUBLIC;
