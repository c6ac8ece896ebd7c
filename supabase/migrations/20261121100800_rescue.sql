-- Rescue: what puts right what a dead worker, a lost message or an old row leaves behind.

create function filaviva.is_lost(p_job public.jobs, p_queue public.queues, p_now timestamptz) returns boolean
language sql immutable
set search_path = ''
as $$
  select p_job.status = 'processing'
    and least(p_job.lease_expires_at, p_job.started_at + make_interval(secs => p_queue.stall_seconds)) < p_now
$$;
comment on function filaviva.is_lost(public.jobs, public.queues, timestamptz) is 'Whether a claim''s lease or outer bound is over.';

create function filaviva.lost_settlement(p_job public.jobs, p_queue public.queues, p_now timestamptz) returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object('job_id', p_job.id, 'claim_id', p_job.claim_id) || case
    when p_job.mode = 'reconcile' then jsonb_build_object('outcome', 'snooze', 'after_seconds', 5, 'error', jsonb_build_object('code', 'worker_lost',
      'message', 'The worker was lost while it was finding out what had happened; it is asked again.'))
    when p_job.committed_at is not null then jsonb_build_object('outcome', 'unconfirmed', 'error', jsonb_build_object('code', 'worker_lost',
      'message', 'The worker was lost after the point of no return; whether the call took effect is not known.'))
    when p_job.started_at + make_interval(secs => p_queue.stall_seconds) < p_now and p_queue.on_stall = 'fail'
      then jsonb_build_object('outcome', 'reject', 'error', jsonb_build_object('code', 'stalled',
      'message', format('The job was processing for more than %s seconds.', p_queue.stall_seconds)))
    else jsonb_build_object('outcome', 'retry', 'error', jsonb_build_object('code', 'worker_lost',
      'message', 'The worker was lost before the point of no return; nothing irreversible happened.'))
  end
$$;
comment on function filaviva.lost_settlement(public.jobs, public.queues, timestamptz) is 'How a lost claim ends: to be found out after the point of no return, else as on_stall says or another attempt. Who was finding out proves nothing by dying.';

create function filaviva.rescue(p_queue public.queues, p_job_ids uuid[]) returns int
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
  update public.jobs set claim_id = null where id = any (v_lost);
  return cardinality(v_lost);
end
$$;
comment on function filaviva.rescue(public.queues, uuid[]) is 'Settles those of the jobs whose claim is lost; answers how many.';

create function filaviva.rescue_jobs(p_limit int) returns int
language plpgsql security definer
set search_path = ''
as $$
declare
  v_queue public.queues;
  v_rescued int := 0;
begin
  for v_queue in select * from public.queues q order by q.name loop
    v_rescued := v_rescued + filaviva.rescue(v_queue, array(
      select j.id from public.jobs j
      where j.id = any (array(select d.job_id from filaviva.deliveries(v_queue.name) d))
        and filaviva.is_lost(j, v_queue, filaviva.now())
      limit p_limit - v_rescued
    ));
  end loop;
  return v_rescued;
end
$$;
comment on function filaviva.rescue_jobs(int) is 'Returns jobs of dead workers to their queues, or ends them; answers how many.';

create table filaviva.sweep_cursor (
  only_row boolean primary key default true constraint there_is_one_cursor check (only_row),
  after_seq bigint not null default 0
);
comment on table filaviva.sweep_cursor is 'How far the sweep has read jobs; it starts over when it reaches the end.';
alter table filaviva.sweep_cursor enable row level security;
insert into filaviva.sweep_cursor default values;

create function filaviva.heal_messages(p_queue public.queues, p_after bigint, p_last bigint) returns int
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
  update public.jobs j set msg_id = null, fair_tag = j.seq, version = j.version + 1, updated_at = v_now
  from (
    select l.id from public.jobs l where l.id = any (v_lost) and l.status in ('pending', 'retrying') and l.msg_id <> all (v_present)
    for update skip locked
  ) w
  where j.id = w.id;
  get diagnostics v_healed = row_count;
  return v_healed + filaviva.rescue(p_queue, v_lost);
end
$$;
comment on function filaviva.heal_messages(public.queues, bigint, bigint) is 'Gives jobs without a message their place back: waiting ones become due, lost claims are settled.';

create function filaviva.heal_groups(p_queue public.queues, p_after bigint, p_last bigint) returns int
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_rows int; v_heads int;
begin
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct j.queue, j.group_key, v_now from public.jobs j
  where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.blocked_by is not null
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
comment on function filaviva.heal_groups(public.queues, bigint, bigint) is 'Gives waiting jobs their group row back, and frees groups whose head is gone.';

create function filaviva.sweep(p_rows int) returns int
language plpgsql security definer
set search_path = ''
as $$
declare
  v_after bigint := (select c.after_seq from filaviva.sweep_cursor c);
  v_last bigint;
  v_queue public.queues;
  v_healed int := 0;
begin
  select max(s.seq) into v_last from (
    select j.seq from public.jobs j where j.seq > v_after order by j.seq limit p_rows
  ) s;
  for v_queue in select * from public.queues q order by q.name loop
    v_healed := v_healed + filaviva.heal_messages(v_queue, v_after, v_last) + filaviva.heal_groups(v_queue, v_after, v_last);
  end loop;
  update filaviva.sweep_cursor set after_seq = coalesce(v_last, 0);
  return v_healed;
end
$$;
comment on function filaviva.sweep(int) is
  'Walks the jobs slice by slice and mends what should not happen: a job without its message, a group without a row, a head that is gone. Answers how many it mended.';

create function filaviva.prune_messages() returns int
language plpgsql security definer
set search_path = ''
as $$
declare
  v_queue text;
  v_orphans bigint[];
  v_removed int := 0;
begin
  for v_queue in select q.name from public.queues q order by 1 loop
    v_orphans := array(
      select d.msg_id from filaviva.deliveries(v_queue) d
      left join public.jobs j on j.id = d.job_id
      where d.enqueued_at < clock_timestamp() - interval '1 minute'
        and (j.id is null or j.finished_at is not null or j.msg_id is distinct from d.msg_id)
    );
    perform pgmq.delete(v_queue, v_orphans);
    v_removed := v_removed + cardinality(v_orphans);
  end loop;
  return v_removed;
end
$$;
comment on function filaviva.prune_messages() is 'Removes messages that belong to no living job; answers how many.';

create function filaviva.prune(p_limit int) returns int
language plpgsql security definer
set search_path = ''
as $$
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
comment on function filaviva.prune(int) is
  'Deletes finished jobs past their queue''s retention, at most p_limit of them, and the history of claims, kicks and cron; answers how many jobs.';

create function public.rescue_jobs(p_limit int default 1000) returns int
language sql security invoker
set search_path = ''
as $$ select filaviva.rescue_jobs(p_limit) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.rescue_jobs(int)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.rescue_jobs(int) to service_role;
grant execute on function public.rescue_jobs(int) to service_role;
