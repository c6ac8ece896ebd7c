-- Cancel: the owner's wish. A waiting job is over at once; a processing one is asked to stop, and a
-- result that still arrives wins. After the point of no return there is nothing left to cancel.

create function filaviva.find_jobs(p_filter jsonb, p_statuses text[], p_limit int) returns setof public.jobs
language plpgsql stable
set search_path = ''
as $$
declare
  c_known constant text[] := array['ids', 'queue', 'kind', 'status', 'user_id', 'company_id', 'instance_id', 'group_key',
    'error_code', 'error_text', 'created_before', 'created_after'];
  v_unknown text;
  v_filter record;
  v_owner uuid := case when filaviva.is_operator() then null else filaviva.caller_id() end;
begin
  if p_filter is null or jsonb_typeof(p_filter) <> 'object' or p_filter = '{}' then
    perform filaviva.fail(400, 'empty_filter', 'The filter must name at least one condition.', 'The conditions are ' || array_to_string(c_known, ', ') || '.');
  end if;
  select k.key into v_unknown from jsonb_object_keys(p_filter) as k(key) where k.key <> all (c_known) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('The filter has an unknown condition %L.', v_unknown), 'The conditions are ' || array_to_string(c_known, ', ') || '.');
  end if;
  select k.key into v_unknown from jsonb_each(p_filter) as k(key, value) where k.value = 'null' limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('The condition %L is null.', v_unknown), 'Leave out what should not matter.');
  end if;
  begin
    select * into v_filter from jsonb_to_record(p_filter) as f(
      ids uuid[], queue text, kind text, status text, user_id uuid, company_id uuid, instance_id text, group_key text,
      error_code text, error_text text, created_before timestamptz, created_after timestamptz);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'The filter cannot be read: ' || sqlerrm || '.', 'ids is an array of uuids; times are ISO 8601.');
  end;
  return query
  select j.* from public.jobs j
  where j.status = any (p_statuses)
    and (v_owner is null or j.user_id = v_owner)
    and (v_filter.ids is null or j.id = any (v_filter.ids))
    and (v_filter.queue is null or j.queue = v_filter.queue)
    and (v_filter.kind is null or j.kind = v_filter.kind)
    and (v_filter.status is null or j.status = v_filter.status)
    and (v_filter.user_id is null or j.user_id = v_filter.user_id)
    and (v_filter.company_id is null or j.company_id = v_filter.company_id)
    and (v_filter.instance_id is null or j.instance_id = v_filter.instance_id)
    and (v_filter.group_key is null or j.group_key = v_filter.group_key)
    and (v_filter.error_code is null or j.error_code = v_filter.error_code)
    and (v_filter.error_text is null or strpos(j.error_message, v_filter.error_text) > 0)
    and (v_filter.created_before is null or j.created_at < v_filter.created_before)
    and (v_filter.created_after is null or j.created_at > v_filter.created_after)
  order by j.seq
  limit p_limit;
end
$$;
comment on function filaviva.find_jobs(jsonb, text[], int) is
  'The caller''s jobs of some statuses that match a filter, in order of enqueue. An operator''s filter reaches every owner''s.';

create function filaviva.cancel_waiting(p_job_ids uuid[], p_now timestamptz) returns void
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
  update public.jobs j set
    status = 'cancelled', finished_at = p_now, next_run_at = null, blocked_by = null, fair_tag = null, waiting_reason = null,
    cancel_requested_at = p_now, version = j.version + 1, updated_at = p_now
  where j.id = any (p_job_ids);
  update filaviva.job_groups g set active_job_id = null where g.active_job_id = any (p_job_ids);
  delete from filaviva.job_checkpoints c where c.job_id = any (p_job_ids);
end
$$;
comment on function filaviva.cancel_waiting(uuid[], timestamptz) is 'Ends locked jobs that wait; a head frees its group.';

create function filaviva.cancel_jobs(p_filter jsonb, p_limit int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_waiting uuid[]; v_running uuid[]; v_committed int;
  v_now timestamptz;
begin
  select array_agg(f.id), max(f.seq) into v_found, v_last
  from filaviva.find_jobs(p_filter, array['pending', 'processing', 'retrying'], v_limit) f
  where f.status <> 'processing' or f.cancel_requested_at is null;
  perform filaviva.lock_jobs(v_found);
  v_now := filaviva.now();
  select array_agg(j.id) filter (where j.status <> 'processing' and j.committed_at is null),
    array_agg(j.id) filter (where j.status = 'processing' and j.committed_at is null),
    count(*) filter (where j.committed_at is not null)
  into v_waiting, v_running, v_committed
  from public.jobs j where j.id = any (v_found) and j.finished_at is null;

  if v_committed = 1 and cardinality(v_found) = 1 then
    perform filaviva.fail(409, 'already_committed', 'The job has passed its point of no return; it can no longer be cancelled.',
      'Wait for its outcome, or undo the effect where it took place.');
  end if;
  perform filaviva.cancel_waiting(v_waiting, v_now);
  update public.jobs j set cancel_requested_at = v_now, version = j.version + 1, updated_at = v_now where j.id = any (v_running);

  return jsonb_build_object(
    'matched', coalesce(cardinality(v_found), 0),
    'changed', coalesce(cardinality(v_waiting), 0) + coalesce(cardinality(v_running), 0),
    'job_ids', to_jsonb(coalesce(v_waiting, '{}') || coalesce(v_running, '{}')),
    'cursor', case when cardinality(v_found) = v_limit then v_last end
  );
end
$$;
comment on function filaviva.cancel_jobs(jsonb, int) is
  'Cancels the caller''s unfinished jobs that match. Waiting ones end now, processing ones are asked to; committed ones are left alone (PT409 when it is the only one).';

create function public.cancel_jobs(p_filter jsonb, p_limit int default 1000) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.cancel_jobs(p_filter, p_limit) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.cancel_jobs(jsonb, int)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.cancel_jobs(jsonb, int) to authenticated, service_role;
grant execute on function public.cancel_jobs(jsonb, int) to authenticated, service_role;
