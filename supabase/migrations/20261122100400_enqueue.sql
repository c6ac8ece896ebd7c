-- Enqueue, second edition: checks in one pass, expiry, companies, fair turns, the API's own limit.
-- A job that may run now joins the line; it goes straight into pgmq when nobody is overtaken by it:
-- lowest priority, no group, no limit, nothing of its queue in the line, and nobody else's in the
-- window. Everything else waits in jobs. Row, place and message commit together.

-- Placing ---------------------------------------------------------------------------------------

create function filaviva.new_turns(p_jobs filaviva.new_job[], p_now timestamptz, p_without int[]) returns bigint[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_turns bigint[] := array_fill(0::bigint, array[cardinality(p_jobs)]);
  v_turn record;
begin
  -- A turn for each owner's job, from the owner's last one on; later and grouped jobs get theirs when they join the line.
  for v_turn in
    with owners as (
      select n.queue, n.priority, n.user_id, array_agg(n.ord order by n.ord) as ords
      from unnest(p_jobs) n
      where n.group_key is null and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (p_without)
      group by n.queue, n.priority, n.user_id
    ), queues as (
      select o.queue, array_agg(o.priority) as priorities, array_agg(o.user_id) as ids from owners o group by o.queue
    )
    select b.base, o.ords
    from queues q, filaviva.turn_bases(q.queue, q.priorities, q.ids) b, owners o
    where o.queue = q.queue and o.priority = b.priority and coalesce(o.user_id, '00000000-0000-0000-0000-000000000000') = coalesce(b.owner, '00000000-0000-0000-0000-000000000000')
  loop
    for v_i in 1 .. cardinality(v_turn.ords) loop
      v_turns[v_turn.ords[v_i]] := v_turn.base + v_i;
    end loop;
  end loop;
  return v_turns;
end
$$;
comment on function filaviva.new_turns(filaviva.new_job[], timestamptz, int[]) is 'The turn of each new job by its position; 0 for one that does not join the line now.';

create function filaviva.straight_into_pgmq(p_queue text, p_now timestamptz, p_jobs filaviva.new_job[], p_turns bigint[]) returns int[]
language plpgsql volatile
set search_path = ''
as $$
declare
  v_window filaviva.window_edges;
  v_owners record;
begin
  if exists (select from filaviva.due_jobs d where d.queue = p_queue)
    or exists (select from public.jobs j where j.queue = p_queue and j.next_run_at <= p_now)
    or exists (select from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now)
    or exists (select from public.queue_limits l where l.queue = p_queue)
  then
    return '{}';
  end if;
  -- The window holds jobs of one owner, so that its ends tell all about it; who comes at the same moment joins the line.
  if not pg_try_advisory_xact_lock(hashtext('filaviva.window'), hashtext(p_queue)) then
    return '{}';
  end if;
  select count(distinct coalesce(n.user_id, '00000000-0000-0000-0000-000000000000')) as n, (array_agg(n.user_id))[1] as owner into v_owners
  from unnest(p_jobs) n where n.queue = p_queue;
  v_window := filaviva.window_edges(p_queue);
  if v_owners.n > 1 or (v_window.size > 0 and v_window.owner is distinct from v_owners.owner) then
    return '{}';
  end if;
  return array(
    select n.ord from unnest(p_jobs) n
    where n.queue = p_queue and n.priority = 0 and n.expires_at is null and p_turns[n.ord] > 0
    order by n.ord
    limit greatest((select q.window_size from public.queues q where q.name = p_queue) - coalesce(v_window.size, 0), 0)
  );
end
$$;
comment on function filaviva.straight_into_pgmq(text, timestamptz, filaviva.new_job[], bigint[]) is
  'The positions of new jobs that overtake nobody by going straight into pgmq, in the order of their turns.';

create function filaviva.join_groups(p_jobs filaviva.new_job[], p_now timestamptz, p_without int[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  -- Holds the groups: a settle and this call cannot miss each other.
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct n.queue, n.group_key, p_now
  from unnest(p_jobs) n
  where n.group_key is not null and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (p_without)
  order by 1, 2
  on conflict (queue, group_key) do update set next_at = job_groups.next_at;
end
$$;
comment on function filaviva.join_groups(filaviva.new_job[], timestamptz, int[]) is 'Makes and holds the groups that new jobs join.';

create function filaviva.yield_to_priority(p_jobs filaviva.new_job[], p_now timestamptz, p_without int[]) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_heads uuid[] := array(
    select g.active_job_id
    from filaviva.job_groups g join (
      select n.queue, n.group_key, max(n.priority) as priority from unnest(p_jobs) n
      where n.group_key is not null and n.priority > 0 and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (p_without)
      group by n.queue, n.group_key
    ) h on h.queue = g.queue and h.group_key = g.group_key
    join public.jobs j on j.id = g.active_job_id
    where j.msg_id is null and j.next_run_at is null and j.claim_id is null and j.attempt = 0 and j.priority < h.priority
  );
begin
  if v_heads = '{}' then
    return;
  end if;
  perform from public.jobs j where j.id = any (v_heads) order by j.id for update;
  v_heads := array(select j.id from public.jobs j where j.id = any (v_heads) and j.status = 'pending' and j.claim_id is null);
  perform filaviva.leave_line(v_heads);
  update public.jobs j set
    blocked_by = 'group:' || j.group_key, waiting_reason = 'group', version = j.version + 1, updated_at = p_now
  where j.id = any (v_heads);
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (v_heads);
end
$$;
comment on function filaviva.yield_to_priority(filaviva.new_job[], timestamptz, int[]) is
  'A head that was released but never claimed steps back when a job of higher priority joins its group. The groups must be locked.';

-- Enqueue ---------------------------------------------------------------------------------------

create table filaviva.expiries (
  expires_at timestamptz not null,
  job_id uuid not null,
  primary key (expires_at, job_id)
);
comment on table filaviva.expiries is 'When jobs expire; a row goes when its time has come. Of its own, since an index on jobs would keep every job that ever had one.';
alter table filaviva.expiries enable row level security;

create function filaviva.insert_jobs(p_jobs filaviva.new_job[], p_turns bigint[], p_msg_ids bigint[], p_now timestamptz, p_without int[]) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  insert into public.jobs (
    id, seq, queue, kind, user_id, company_id, instance_id, payload, metadata, priority, group_key, idempotency_key, body_hash,
    correlation_id, scheduled_at, expires_at, max_attempts, timeout_seconds, created_at, updated_at, msg_id, fair_tag, next_run_at, blocked_by, waiting_reason
  )
  select n.id, n.seq, n.queue, n.kind, n.user_id, n.company_id, n.instance_id, n.payload, n.metadata, n.priority, n.group_key,
    n.idempotency_key, n.body_hash, n.correlation_id, n.scheduled_at, n.expires_at, n.max_attempts, n.timeout_seconds, p_now, p_now,
    nullif(p_msg_ids[n.ord], 0), nullif(p_turns[n.ord], 0),
    case when n.scheduled_at > p_now then n.scheduled_at end,
    case when n.group_key is not null and not coalesce(n.scheduled_at > p_now, false) then 'group:' || n.group_key end,
    case when n.scheduled_at > p_now then 'scheduled' when n.group_key is not null then 'group' end
  from unnest(p_jobs) n
  where n.ord <> all (p_without);

  insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
  select n.queue, n.priority, p_turns[n.ord], n.seq, n.id, coalesce(n.user_id, '00000000-0000-0000-0000-000000000000')
  from unnest(p_jobs) n
  where p_turns[n.ord] > 0 and p_msg_ids[n.ord] = 0;

  insert into filaviva.expiries (expires_at, job_id)
  select n.expires_at, n.id from unnest(p_jobs) n where n.expires_at is not null and n.ord <> all (p_without);
end
$$;
comment on function filaviva.insert_jobs(filaviva.new_job[], bigint[], bigint[], timestamptz, int[]) is
  'Writes new jobs at their places. Turns and message ids are by position, 0 for none; positions in p_without are repeats.';

create function filaviva.enqueue_jobs(p_jobs jsonb) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_jobs filaviva.new_job[];
  v_first_ords int[] := '{}'; v_first_ids uuid[] := '{}'; v_conflict int;
  v_turns bigint[]; v_msg_ids bigint[]; v_sent bigint[];
  v_queue text; v_ords int[];
begin
  if not filaviva.is_trusted() then
    perform filaviva.count_api_call(filaviva.caller_id());
  end if;
  v_jobs := filaviva.parse_job_requests(p_jobs);

  if exists (select from unnest(v_jobs) n where n.idempotency_key is not null) then
    perform filaviva.lock_idempotency_keys(v_jobs);
    select coalesce(array_agg(f.ord) filter (where not f.is_new), '{}'), coalesce(array_agg(f.first_id) filter (where not f.is_new), '{}'),
      min(f.ord) filter (where f.first_id is null)
    into v_first_ords, v_first_ids, v_conflict
    from filaviva.first_jobs(v_jobs) f;
    if v_conflict is not null then
      perform filaviva.fail(409, 'idempotency_conflict', format('Job %s repeats an idempotency key with another body.', v_conflict - 1),
        'Use a new key for a new job; repeat a key only with the very same job.');
    end if;
  end if;

  v_now := filaviva.now();
  v_turns := filaviva.new_turns(v_jobs, v_now, v_first_ords);
  v_msg_ids := array_fill(0::bigint, array[cardinality(v_jobs)]);
  for v_queue in select distinct n.queue from unnest(v_jobs) n order by 1 loop
    v_ords := filaviva.straight_into_pgmq(v_queue, v_now, v_jobs, v_turns);
    v_sent := filaviva.send_messages(v_queue, array(select v_jobs[o.ord].id from unnest(v_ords) with ordinality as o(ord, place) order by o.place), 0);
    for v_i in 1 .. cardinality(v_ords) loop
      v_msg_ids[v_ords[v_i]] := v_sent[v_i];
    end loop;
  end loop;
  perform filaviva.join_groups(v_jobs, v_now, v_first_ords);
  perform filaviva.insert_jobs(v_jobs, v_turns, v_msg_ids, v_now, v_first_ords);
  perform filaviva.yield_to_priority(v_jobs, v_now, v_first_ords);
  perform filaviva.mark_for_kick(array(
    select distinct n.queue from unnest(v_jobs) n
    where coalesce(n.scheduled_at, v_now) <= v_now and n.ord <> all (v_first_ords)
  ));

  if v_first_ords = '{}' then
    return (
      select json_agg(json_build_object('job_id', n.id, 'status', 'pending', 'duplicate', false, 'scheduled_at', n.scheduled_at, 'version', 1) order by n.ord)
      from unnest(v_jobs) n
    );
  end if;
  return (
    select json_agg(json_build_object(
        'job_id', coalesce(f.id, n.id), 'status', coalesce(j.status, 'pending'), 'duplicate', f.id is not null,
        'scheduled_at', case when f.id is null then n.scheduled_at else j.scheduled_at end, 'version', coalesce(j.version, 1)
      ) order by n.ord)
    from unnest(v_jobs) n
    left join unnest(v_first_ords, v_first_ids) as f(ord, id) on f.ord = n.ord
    left join public.jobs j on j.id = f.id
  );
end
$$;
comment on function filaviva.enqueue_jobs(jsonb) is
  'Enqueues 1 to 10,000 jobs, all or nothing. The same idempotency key with the same body answers the first job; with another body PT409. The owner is the signed-in user.';

create function public.enqueue_jobs(p_jobs jsonb) returns json
language sql security invoker
set search_path = ''
as $$ select filaviva.enqueue_jobs(p_jobs) $$;
comment on function public.enqueue_jobs(jsonb) is 'Enqueue 1 to 10,000 jobs, all or nothing; answers one {job_id, status, duplicate, scheduled_at, version} a position.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.enqueue_jobs(jsonb)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.enqueue_jobs(jsonb) to authenticated, service_role;
grant execute on function public.enqueue_jobs(jsonb) to authenticated, service_role;
