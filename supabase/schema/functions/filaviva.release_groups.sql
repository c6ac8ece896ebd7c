CREATE FUNCTION filaviva.release_groups(p_queue text, p_now timestamp with time zone, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
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

  with heads as (
    select (
      select j.id from public.jobs j where j.queue = p_queue and j.group_key = k.group_key and j.blocked_by is not null
      order by j.priority desc, j.seq limit 1
    ) as id
    from unnest(v_groups) as k(group_key)
  ), locked as (
    select j.id from public.jobs j join heads h on h.id = j.id where j.blocked_by is not null for update of j skip locked
  ), released as (
    update public.jobs j set blocked_by = null, waiting_reason = null, fair_tag = j.seq, version = j.version + 1, updated_at = p_now
    from locked l where j.id = l.id
    returning j.id
  )
  select array_agg(r.id) into v_heads from released r;

  update filaviva.job_groups g set active_job_id = j.id
  from public.jobs j where j.id = any (v_heads) and g.queue = p_queue and g.group_key = j.group_key;
  -- Nobody waits and the gap is over: the group starts anew with its next job.
  delete from filaviva.job_groups g
  where g.queue = p_queue and g.group_key = any (v_groups) and g.active_job_id is null and not exists (
    select from public.jobs j where j.queue = p_queue and j.group_key = g.group_key and j.blocked_by is not null
  );
  return coalesce(cardinality(v_heads), 0);
end
$$;

COMMENT ON FUNCTION filaviva.release_groups(p_queue text, p_now timestamp with time zone, p_limit integer) IS 'Gives every group without a head its next job: highest priority, then order of enqueue, once its gap is over.';

REVOKE ALL ON FUNCTION filaviva.release_groups(p_queue text, p_now timestamp with time zone, p_limit integer) FROM PUBLIC;
