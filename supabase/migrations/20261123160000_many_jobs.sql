-- Changes to many jobs, page by page. A filter takes the cursor of the page before as `after`, so that callers loop
-- until it is null and meet every job once, in a dry run too. What a change leaves alone is left out before a page
-- is cut: a page full of such jobs would look like the end, or come again for ever.

drop function filaviva.find_jobs(jsonb, text[], int);

create function filaviva.find_jobs(p_filter jsonb, p_statuses text[], p_limit int, p_open boolean default false) returns setof public.jobs
language plpgsql stable
set search_path = ''
as $$
declare
  c_known constant text[] := array['ids', 'queue', 'kind', 'status', 'user_id', 'company_id', 'instance_id', 'group_key',
    'error_code', 'error_text', 'created_before', 'created_after', 'after'];
  v_unknown text;
  v_filter record;
  v_owner uuid := case when filaviva.is_operator() then null else filaviva.caller_id() end;
begin
  if p_filter is null or jsonb_typeof(p_filter) <> 'object' or p_filter - 'after' = '{}' then
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
      error_code text, error_text text, created_before timestamptz, created_after timestamptz, after bigint);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'The filter cannot be read: ' || sqlerrm || '.',
      'ids is an array of uuids; times are ISO 8601; after is the cursor of an earlier answer.');
  end;
  return query
  select j.* from public.jobs j
  where j.status = any (p_statuses)
    and (not p_open or j.committed_at is null and (j.status <> 'processing' or j.cancel_requested_at is null))
    and (v_owner is null or j.user_id = v_owner)
    and (v_filter.after is null or j.seq > v_filter.after)
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
comment on function filaviva.find_jobs(jsonb, text[], int, boolean) is
  'The caller''s jobs of some statuses that match a filter, in order of enqueue. An operator''s filter reaches every owner''s. p_open: only those that may still be changed, which are past no point of no return and not asked to stop.';

create or replace function filaviva.cancel_jobs(p_filter jsonb, p_limit int) returns jsonb
language plpgsql security definer
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_unfinished constant text[] := array['pending', 'processing', 'retrying'];
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_waiting uuid[]; v_running uuid[];
  v_is_committed boolean;
  v_now timestamptz;
begin
  select array_agg(f.id), max(f.seq) into v_found, v_last from filaviva.find_jobs(p_filter, c_unfinished, v_limit, p_open => true) f;
  perform filaviva.lock_jobs(v_found);
  v_now := filaviva.now();
  select array_agg(j.id) filter (where j.status <> 'processing'), array_agg(j.id) filter (where j.status = 'processing')
  into v_waiting, v_running
  from public.jobs j where j.id = any (v_found) and j.finished_at is null and j.committed_at is null;

  if v_waiting is null and v_running is null and not p_filter ? 'after' then
    select count(*) = 1 and bool_and(f.committed_at is not null) into v_is_committed from filaviva.find_jobs(p_filter, c_unfinished, 2) f;
    if v_is_committed then
      perform filaviva.fail(409, 'already_committed', 'The job has passed its point of no return; it can no longer be cancelled.',
        'Wait for its outcome, or undo the effect where it took place.');
    end if;
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
  'Cancels the caller''s unfinished jobs that match, the oldest first. Waiting ones end now, processing ones are asked to; committed ones are left alone (PT409 when it is the only one, unless this is a further page).';

create or replace function filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_found uuid[]; v_last bigint;
  v_ids uuid[] := '{}';
begin
  select coalesce(array_agg(f.id), '{}'), max(f.seq) into v_found, v_last
  from filaviva.find_jobs(p_filter, array['failed'], v_limit, p_open => true) f;
  if p_dry_run is false then
    perform filaviva.lock_jobs(v_found);
    v_ids := array(select j.id from public.jobs j where j.id = any (v_found) and j.status = 'failed' and j.committed_at is null order by j.seq);
    perform filaviva.start_over(v_ids, filaviva.now());
  end if;
  return jsonb_build_object(
    'matched', cardinality(v_found),
    'changed', cardinality(v_ids),
    'job_ids', to_jsonb(case when p_dry_run is false then v_ids else v_found end),
    'cursor', case when cardinality(v_found) = v_limit then v_last end
  );
end
$$;
comment on function filaviva.redrive_jobs(jsonb, boolean, int) is
  'Puts the caller''s dead letters that match back to pending with fresh attempts, the oldest first. Skips whatever may have taken effect. A dry run only counts.';

comment on function filaviva.prune_jobs(jsonb, int) is
  'For operators: deletes finished jobs that match, whatever their age, at most 1,000 a call; call again while there is a cursor, with it as the filter''s `after`. Unfinished jobs are never deleted.';
comment on function public.cancel_jobs(jsonb, int) is
  'Cancels jobs that match, at most 1,000 a call. Answers {matched, changed, job_ids, cursor}: while there is a cursor, call again with it as the filter''s `after`.';
comment on function public.redrive_jobs(jsonb, boolean, int) is
  'Puts dead letters that match back, at most 1,000 a call. Answers {matched, changed, job_ids, cursor}: while there is a cursor, call again with it as the filter''s `after`.';
comment on function public.prune_jobs(jsonb, int) is
  'Deletes finished jobs that match; for operators, at most 1,000 a call. Answers {matched, changed, job_ids, cursor}: while there is a cursor, call again with it as the filter''s `after`.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
