-- Operations: what people do about jobs that did not end well, and about whole queues.

create function filaviva.require_operator() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may do this.', 'Use the service key, SQL as postgres, or a user whose app_metadata.filaviva_role is operator.');
  end if;
end
$$;

create function filaviva.require_queue(p_queue text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if not exists (select from public.queues q where q.name = p_queue) then
    perform filaviva.fail(404, 'unknown_queue', format('There is no queue %L.', p_queue), 'Make it with create_queue(), or correct its name.');
  end if;
end
$$;

-- Pause -----------------------------------------------------------------------------------------

create function filaviva.pause_queue(p_queue text) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  update public.queues set paused_at = filaviva.now() where name = p_queue and paused_at is null;
end
$$;
comment on function filaviva.pause_queue(text) is 'Lets nothing more of a queue be claimed until resume_queue(); jobs may still be enqueued.';

create function filaviva.resume_queue(p_queue text) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  update public.queues set paused_at = null where name = p_queue and paused_at is not null;
  if found then
    perform filaviva.mark_for_kick(array[p_queue]);
  end if;
end
$$;
comment on function filaviva.resume_queue(text) is 'Ends a pause and wakes the drain.';

-- Again -----------------------------------------------------------------------------------------

create function filaviva.start_over(p_job_ids uuid[], p_now timestamptz) returns void
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
    fair_tag = case when j.group_key is null then j.seq end,
    waiting_reason = case when j.group_key is not null then 'group' end,
    version = j.version + 1, updated_at = p_now
  where j.id = any (p_job_ids);
  perform filaviva.mark_for_kick(array(select distinct j.queue from public.jobs j where j.id = any (p_job_ids)));
end
$$;
comment on function filaviva.start_over(uuid[], timestamptz) is
  'Makes finished, locked jobs pending with fresh attempts; a job of a group takes its old place, before newer ones.';

create function filaviva.redrive_jobs(p_filter jsonb, p_dry_run boolean, p_limit int) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_limit constant int := least(greatest(p_limit, 0), 1000);
  v_ids uuid[]; v_last bigint;
begin
  select array_agg(f.id), max(f.seq) into v_ids, v_last from filaviva.find_jobs(p_filter, array['failed'], v_limit) f
  where f.committed_at is null;
  v_ids := coalesce(v_ids, '{}');
  if p_dry_run is false then
    perform filaviva.lock_jobs(v_ids);
    v_ids := array(select j.id from public.jobs j where j.id = any (v_ids) and j.status = 'failed' and j.committed_at is null order by j.seq);
    perform filaviva.start_over(v_ids, filaviva.now());
  end if;
  return jsonb_build_object(
    'matched', cardinality(v_ids),
    'changed', case when p_dry_run is false then cardinality(v_ids) else 0 end,
    'job_ids', to_jsonb(v_ids),
    'cursor', case when cardinality(v_ids) = v_limit then v_last end
  );
end
$$;
comment on function filaviva.redrive_jobs(jsonb, boolean, int) is
  'Puts the caller''s dead letters that match back to pending with fresh attempts. Skips whatever may have taken effect. A dry run only counts.';

create function filaviva.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz;
  v_job public.jobs;
  v_owner uuid := case when filaviva.is_operator() then null else filaviva.caller_id() end;
begin
  if p_happened is null or octet_length(p_result::text) > 65536 then
    perform filaviva.fail(400, 'invalid_field', 'p_happened must be true or false, and p_result at most 64 KB.', 'Say whether the effect took place.');
  end if;
  perform filaviva.lock_jobs(array[p_job_id]);
  select * into v_job from public.jobs j where j.id = p_job_id and (v_owner is null or j.user_id = v_owner);
  if not found then
    perform filaviva.fail(404, 'unknown_job', format('There is no job %s.', p_job_id), 'Check the id; finished jobs are pruned after their retention.');
  end if;
  if v_job.status <> 'unconfirmed' then
    perform filaviva.fail(409, 'not_unconfirmed', format('The job is %s; only an unconfirmed one can be resolved.', v_job.status), 'Look at the job''s status; redrive_jobs() is for failed ones.');
  end if;
  v_now := filaviva.now();
  if p_happened then
    update public.jobs j set
      status = 'completed', result = coalesce(p_result, j.result), error_code = null, error_message = null, progress = 100,
      version = j.version + 1, updated_at = v_now
    where j.id = p_job_id;
  else
    perform filaviva.start_over(array[p_job_id], v_now);
  end if;
  return (select jsonb_build_object('job_id', j.id, 'status', j.status, 'version', j.version) from public.jobs j where j.id = p_job_id);
end
$$;
comment on function filaviva.resolve_job(uuid, boolean, jsonb) is
  'The word of a person on an unconfirmed job: it happened (completed), or it did not (run again with fresh attempts).';

-- Numbers ---------------------------------------------------------------------------------------

create function public.queue_stats(p_filter jsonb default '{}') returns jsonb
language plpgsql stable security invoker
set search_path = ''
as $$
declare
  v_unknown text;
  v_owner uuid := case when filaviva.is_operator() then null else auth.uid() end;
begin
  select k.key into v_unknown from jsonb_object_keys(p_filter) as k(key) where k.key not in ('queue', 'kind', 'user_id', 'instance_id') limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('The filter has an unknown condition %L.', v_unknown), 'The conditions are queue, kind, user_id, instance_id.');
  end if;
  return (
    select jsonb_object_agg(s.status, coalesce(c.n, 0)) || jsonb_build_object('total', coalesce(sum(c.n), 0))
    from unnest(array['pending', 'processing', 'retrying', 'completed', 'failed', 'cancelled', 'unconfirmed']) as s(status)
    left join (
      select j.status, count(*) as n from public.jobs j
      where (v_owner is null or j.user_id = v_owner)
        and (p_filter ->> 'queue' is null or j.queue = p_filter ->> 'queue')
        and (p_filter ->> 'kind' is null or j.kind = p_filter ->> 'kind')
        and (p_filter ->> 'user_id' is null or j.user_id::text = p_filter ->> 'user_id')
        and (p_filter ->> 'instance_id' is null or j.instance_id = p_filter ->> 'instance_id')
      group by j.status
    ) c on c.status = s.status
  );
end
$$;
comment on function public.queue_stats(jsonb) is 'Counts of jobs by status, zero-filled, with their total; of those the caller may see.';

create function public.pause_queue(p_queue text) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.pause_queue(p_queue) $$;

create function public.resume_queue(p_queue text) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.resume_queue(p_queue) $$;

create function public.redrive_jobs(p_filter jsonb, p_dry_run boolean default false, p_limit int default 1000) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.redrive_jobs(p_filter, p_dry_run, p_limit) $$;

create function public.resolve_job(p_job_id uuid, p_happened boolean, p_result jsonb default null) returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.resolve_job(p_job_id, p_happened, p_result) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.queue_stats(jsonb), public.pause_queue(text), public.resume_queue(text),
  public.redrive_jobs(jsonb, boolean, int), public.resolve_job(uuid, boolean, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.pause_queue(text), filaviva.resume_queue(text),
  filaviva.redrive_jobs(jsonb, boolean, int), filaviva.resolve_job(uuid, boolean, jsonb) to authenticated, service_role;
grant execute on function public.queue_stats(jsonb), public.pause_queue(text), public.resume_queue(text),
  public.redrive_jobs(jsonb, boolean, int), public.resolve_job(uuid, boolean, jsonb) to authenticated, service_role;
