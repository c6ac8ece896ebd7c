CREATE FUNCTION filaviva.next_due_in_ms(p_queue text, p_now timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  return (
    select case when d.at is not null then greatest(0, ceil(extract(epoch from d.at - p_now) * 1000))::bigint end
    from (select least(
      (select j.next_run_at from public.jobs j where j.queue = p_queue and j.next_run_at is not null order by j.next_run_at limit 1),
      (select g.next_at from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null order by g.next_at limit 1),
      (select k.next_at from filaviva.parked_keys k where k.queue = p_queue order by k.next_at limit 1)
    ) as at) d
  );
end
$$;

COMMENT ON FUNCTION filaviva.next_due_in_ms(p_queue text, p_now timestamp with time zone) IS 'Milliseconds until the next job, group or limit that waits for a time may go on; null when none does.';

REVOKE ALL ON FUNCTION filaviva.next_due_in_ms(p_queue text, p_now timestamp with time zone) FROM PUBLIC;
