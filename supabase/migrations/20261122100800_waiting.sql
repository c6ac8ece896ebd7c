-- Waiting, second edition: cancelling, starting over and healing, now that what is due stands in the line.

create or replace function filaviva.cancel_waiting(p_job_ids uuid[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_msgs record;
begin
  for v_msgs in
    select j.queue, array_agg(j.msg_id) as ids from public.jobs j
    where j.id = any (p_job_ids) and j.msg_id is not null group by j.queue order by j.queue
  loop
    perform pgmq.delete(v_msgs.queue, v_msgs.ids);
  end loop;
  perform filaviva.leave_line(p_job_ids);
  update public.jobs j set
    status = 'cancelled', finished_at = p_now, next_run_at = null, blocked_by = null, waiting_reason = null,
    cancel_requested_at = p_now, version = j.version + 1, updated_at = p_now
  where j.id = any (p_job_ids);
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (p_job_ids);
  delete from filaviva.job_checkpoints c where c.job_id = any (p_job_ids);
end
$$;

create or replace function filaviva.start_over(p_job_ids uuid[], p_now timestamptz) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  -- The group's row first, as everywhere: an enqueue of the same group waits here, not behind us.
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct j.queue, j.group_key, p_now from public.jobs j where j.id = any (p_job_ids) and j.group_key is not null
  order by 1, 2
  on conflict (queue, group_key) do update set next_at = job_groups.next_at;
  update public.jobs j set
    status = 'pending', mode = 'run', attempt = 0, snoozes = 0, finished_at = null, started_at = null,
    claim_id = null, worker_id = null, committed_at = null, cancel_requested_at = null, msg_id = null, progress = null, progress_note = null,
    blocked_by = case when j.group_key is not null then 'group:' || j.group_key end,
    next_run_at = case when j.group_key is null then p_now end,
    fair_tag = null, waiting_reason = case when j.group_key is not null then 'group' end,
    expires_at = null,  -- who starts it over wants it run
    version = j.version + 1, updated_at = p_now
  where j.id = any (p_job_ids);
  perform filaviva.mark_for_kick(array(select distinct j.queue from public.jobs j where j.id = any (p_job_ids)));
end
$$;

create or replace function filaviva.heal_messages(p_queue public.queues, p_after bigint, p_last bigint) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_present bigint[] := array(select d.msg_id from filaviva.deliveries(p_queue.name) d);
  v_lost uuid[];
  v_healed int;
begin
  -- A minute of grace: the message of a row that is being written now may not be visible yet.
  v_lost := array(
    select j.id from public.jobs j
    where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.msg_id is not null and j.finished_at is null
      and j.updated_at < v_now - interval '1 minute' and j.msg_id <> all (v_present)
  );
  update public.jobs j set msg_id = null, next_run_at = v_now, version = j.version + 1, updated_at = v_now
  from (
    select l.id from public.jobs l where l.id = any (v_lost) and l.status in ('pending', 'retrying') and l.msg_id <> all (v_present)
    for update skip locked
  ) w
  where j.id = w.id;
  get diagnostics v_healed = row_count;
  return v_healed + filaviva.rescue(p_queue, v_lost) + filaviva.heal_places(p_queue, p_after, p_last);
end
$$;
comment on function filaviva.heal_messages(public.queues, bigint, bigint) is 'Gives jobs without a message or a place in the line their turn back; settles lost claims.';

create function filaviva.heal_places(p_queue public.queues, p_after bigint, p_last bigint) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_healed int; v_keys int;
begin
  update public.jobs j set next_run_at = v_now, version = j.version + 1, updated_at = v_now
  from (
    select l.id from public.jobs l
    where l.seq > p_after and l.seq <= p_last and l.queue = p_queue.name and l.finished_at is null
      and l.msg_id is null and l.next_run_at is null and l.blocked_by is null
      and not exists (select from filaviva.due_jobs d where d.queue = l.queue and d.priority = l.priority and d.turn = l.fair_tag and d.seq = l.seq)
    for update skip locked
  ) w
  where j.id = w.id;
  get diagnostics v_healed = row_count;
  insert into filaviva.parked_keys (queue, limiter, key, next_at)
  select distinct j.queue, split_part(j.blocked_by, ':', 2), substr(j.blocked_by, length('limit:' || split_part(j.blocked_by, ':', 2)) + 2), v_now
  from public.jobs j
  where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.blocked_by like 'limit:%'
    and not exists (select from filaviva.parked_keys k where k.queue = j.queue and j.blocked_by = 'limit:' || k.limiter || ':' || k.key)
  on conflict do nothing;
  get diagnostics v_keys = row_count;
  return v_healed + v_keys;
end
$$;
comment on function filaviva.heal_places(public.queues, bigint, bigint) is 'Gives due jobs that stand in no line, and limits whose key row is missing, their row back.';

create or replace function filaviva.heal_groups(p_queue public.queues, p_after bigint, p_last bigint) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_rows int; v_heads int;
begin
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct j.queue, j.group_key, v_now from public.jobs j
  where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.blocked_by like 'group:%'
    and not exists (select from filaviva.job_groups g where g.queue = j.queue and g.group_key = j.group_key)
  on conflict do nothing;
  get diagnostics v_rows = row_count;
  update filaviva.job_groups g set active_job_id = null, next_at = v_now
  from (
    select l.queue, l.group_key from filaviva.job_groups l
    where l.queue = p_queue.name and l.active_job_id is not null
      and not exists (select from public.jobs j where j.id = l.active_job_id and j.finished_at is null)
    for update skip locked
  ) w
  where g.queue = w.queue and g.group_key = w.group_key;
  get diagnostics v_heads = row_count;
  return v_rows + v_heads;
end
$$;

create or replace function filaviva.rescue(p_queue public.queues, p_job_ids uuid[]) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_heads uuid[];
  v_lost uuid[];
begin
  -- Groups before jobs, as everywhere; what somebody else holds is rescued at the next turn.
  v_heads := array(select g.active_job_id from filaviva.job_groups g where g.active_job_id = any (p_job_ids) for update skip locked);
  v_lost := array(
    select j.id from public.jobs j
    where j.id = any (p_job_ids) and filaviva.is_lost(j, p_queue, v_now) and (j.group_key is null or j.id = any (v_heads))
    order by j.id for update skip locked
  );
  if v_lost = '{}' then
    return 0;
  end if;
  perform filaviva.settle_jobs((
    select jsonb_agg(filaviva.lost_settlement(j, p_queue, v_now)) from public.jobs j where j.id = any (v_lost)
  ));
  -- The lost worker may come back: its claim no longer holds, so its result is stale, not a repeat.
  update public.jobs j set claim_id = null, version = j.version + 1 where j.id = any (v_lost);
  return cardinality(v_lost);
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
