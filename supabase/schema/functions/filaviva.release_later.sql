CREATE FUNCTION filaviva.release_later(p_queue text, p_now timestamp with time zone, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_ids uuid[];
  v_groups text[];
  v_joining uuid[];
  v_lock_timeout constant text := current_setting('lock_timeout');
begin
  v_ids := array(
    select j.id from public.jobs j where j.queue = p_queue and j.next_run_at <= p_now order by j.next_run_at limit p_limit
  );
  if v_ids = '{}' then
    return 0;
  end if;

  -- A scheduled job of a group joins the line of its group now; until now it blocked nobody.
  v_joining := array(
    select j.id from public.jobs j
    where j.id = any (v_ids) and j.group_key is not null and not exists (
      select from filaviva.job_groups g where g.queue = j.queue and g.group_key = j.group_key and g.active_job_id = j.id
    )
  );
  if v_joining <> '{}' then
    begin
      -- The claim side does not wait, not even for a group that another session is just inserting.
      perform set_config('lock_timeout', '1ms', true);
      insert into filaviva.job_groups (queue, group_key, next_at)
      select distinct j.queue, j.group_key, p_now from public.jobs j where j.id = any (v_joining) order by 1, 2
      on conflict do nothing;
      perform set_config('lock_timeout', v_lock_timeout, true);
    exception when lock_not_available then
      null;  -- the groups that cannot be locked join at the next turn
    end;
    v_groups := array(
      select g.group_key from filaviva.job_groups g
      where g.queue = p_queue and g.group_key in (select j.group_key from public.jobs j where j.id = any (v_joining))
      for update skip locked
    );
  end if;

  v_ids := array(
    select j.id from public.jobs j
    where j.id = any (v_ids) and j.next_run_at <= p_now and (j.id <> all (v_joining) or j.group_key = any (v_groups))
    for update skip locked
  );
  update public.jobs j set
    next_run_at = null, blocked_by = 'group:' || j.group_key, waiting_reason = 'group', version = j.version + 1, updated_at = p_now
  where j.id = any (v_ids) and j.id = any (v_joining);
  perform filaviva.line_up(p_queue, array(select i from unnest(v_ids) i where i <> all (v_joining)));
  return cardinality(v_ids);
end
$$;

COMMENT ON FUNCTION filaviva.release_later(p_queue text, p_now timestamp with time zone, p_limit integer) IS 'Moves jobs whose time has come into the line, or behind the head of their group.';

REVOKE ALL ON FUNCTION filaviva.release_later(p_queue text, p_now timestamp with time zone, p_limit integer) FROM PUBLIC;
