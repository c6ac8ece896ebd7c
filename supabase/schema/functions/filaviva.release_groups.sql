CREATE FUNCTION filaviva.release_groups(p_queue text, p_now timestamp with time zone, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_groups text[];
  v_heads uuid[];
begin
  v_groups := array(
    select g.group_key from filaviva.job_groups g
    where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now
    order by g.next_at limit p_limit
    for update skip locked
  );
  if v_groups = '{}' then
    return 0;
  end if;

  v_heads := array(
    select (
      select j.id from public.jobs j where j.queue = p_queue and j.blocked_by = 'group:' || k.group_key
      order by j.priority desc, j.seq limit 1
    )
    from unnest(v_groups) as k(group_key)
  );
  v_heads := array(select j.id from public.jobs j where j.id = any (v_heads) and j.blocked_by is not null for update skip locked);
  perform filaviva.line_up(p_queue, v_heads);
  update filaviva.job_groups g set active_job_id = j.id
  from public.jobs j where j.id = any (v_heads) and g.queue = p_queue and g.group_key = j.group_key;
  -- Nobody waits and the gap is over: the group starts anew with its next job.
  delete from filaviva.job_groups g
  where g.queue = p_queue and g.group_key = any (v_groups) and g.active_job_id is null and not exists (
    select from public.jobs j where j.queue = p_queue and j.blocked_by = 'group:' || g.group_key
  );
  return cardinality(v_heads);
end
$$;

COMMENT ON FUNCTION filaviva.release_groups(p_queue text, p_now timestamp with time zone, p_limit integer) IS 'Gives every group without a head its next job: highest priority, then order of enqueue, once its gap is over.';

REVOKE ALL ON FUNCTION filaviva.release_groups(p_queue text, p_now timestamp with time zone, p_limit integer) FROM PUBLIC;
