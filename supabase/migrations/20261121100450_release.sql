-- Release: what waited may run now. Jobs whose time has come become due, or join the line of their
-- group; groups without a head get their next job. Every claim and the tick begin with it. It never
-- waits on a lock: what another session holds comes at the next turn.

create function filaviva.release_later(p_queue text, p_now timestamptz, p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_ids uuid[];
  v_groups text[];
  v_joining uuid[];
  v_lock_timeout constant text := current_setting('lock_timeout');
  v_changed int;
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

  with locked as (
    select j.id, j.group_key from public.jobs j
    where j.id = any (v_ids) and j.next_run_at <= p_now and (j.id <> all (v_joining) or j.group_key = any (v_groups))
    for update skip locked
  )
  update public.jobs j set
    next_run_at = null,
    blocked_by = case when j.id = any (v_joining) then 'group:' || j.group_key end,
    fair_tag = case when j.id <> all (v_joining) then j.seq end,
    waiting_reason = case when j.id = any (v_joining) then 'group' when j.waiting_reason <> 'scheduled' then j.waiting_reason end,
    version = j.version + 1, updated_at = p_now
  from locked l where j.id = l.id;
  get diagnostics v_changed = row_count;
  return v_changed;
end
$$;
comment on function filaviva.release_later(text, timestamptz, int) is 'Moves jobs whose time has come to the due ones, or to the line of their group.';

create function filaviva.release_groups(p_queue text, p_now timestamptz, p_limit int) returns int
language plpgsql volatile
set search_path = ''
as $$
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
comment on function filaviva.release_groups(text, timestamptz, int) is
  'Gives every group without a head its next job: highest priority, then order of enqueue, once its gap is over.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
