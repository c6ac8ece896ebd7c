-- The surface of the design documents: views and functions under the names and with the columns that
-- they print, over public.jobs. Nothing is stored here and nothing decided: what is written goes
-- through enqueue_jobs, claim_jobs and settle_jobs, and row-level security of jobs applies.
-- docs/compatibility.md holds every printed statement against this.

-- Views -----------------------------------------------------------------------------------------

create view public.queue_jobs with (security_invoker = true) as
select j.id, j.user_id, j.queue as fila, j.kind as tipo, j.payload,
  case j.status
    when 'pending' then 'pendente' when 'retrying' then 'pendente' when 'processing' then 'processando'
    when 'completed' then 'concluido' when 'failed' then 'falha' when 'cancelled' then 'cancelado' when 'unconfirmed' then 'nao_confirmado'
  end as status,
  j.attempt as tentativas, j.max_attempts as max_tentativas, j.progress as progresso, j.result as resultado, j.error_message as erro,
  j.scheduled_at as agendado_para, j.created_at, j.updated_at, j.started_at as iniciado_em, j.finished_at as finalizado_em
from public.jobs j;
comment on view public.queue_jobs is 'Every job under the Portuguese names of the first design document.';

create view public.publication_jobs with (security_invoker = true) as
select j.id, j.user_id, j.payload ->> 'platform' as platform, j.payload ->> 'option' as option, j.payload -> 'content' as content,
  case
    when j.status = 'retrying' and (j.waiting_reason = 'polling' or j.committed_at is not null) then 'processing'
    when j.status = 'retrying' then 'pending'
    when j.status in ('cancelled', 'unconfirmed') then 'failed'
    else j.status
  end as status,
  j.created_at, j.started_at, j.finished_at as completed_at,
  case j.status
    when 'cancelled' then coalesce(j.error_message, 'The publication was cancelled before it went out.')
    when 'unconfirmed' then coalesce(j.error_message, 'Nobody can tell whether the publication went out.')
    else j.error_message
  end as error_message,
  greatest(j.attempt - 1, 0) as retry_count, j.max_attempts as max_retries, j.result as platform_response, j.metadata
from public.jobs j
where j.kind = 'publish_post';
comment on view public.publication_jobs is 'Publications. An insert enqueues one; everything after that is the engine''s.';
comment on column public.publication_jobs.platform is 'The network alone. An insert may also name the option here, such as tiktok_video.';
comment on column public.publication_jobs.status is 'pending, processing, completed or failed. A post that the platform is still working on is processing.';

create view public.message_queue with (security_invoker = true) as
select j.id, j.user_id,
  case when j.correlation_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then j.correlation_id::uuid end as correlation_id,
  j.kind as message_type, j.payload, j.metadata, j.status, j.priority::int as priority, j.attempt as retry_count, j.max_attempts as max_retries,
  j.error_message, j.created_at, coalesce(j.next_run_at, j.scheduled_at) as scheduled_at, j.started_at as processed_at
from public.jobs j
where j.queue in ('webhooks', 'messages', 'message_retry');
comment on view public.message_queue is
  'Chat messages and webhooks. get_next_queue_message() takes the next; an update of status says how it ended.';

create view public.message_queue_items with (security_invoker = true) as
select j.id, j.user_id, coalesce(j.instance_id, j.payload ->> 'instance_id') as instance,
  coalesce(j.metadata ->> 'chat_id', j.payload ->> 'contato_id') as "chatId",
  case when j.metadata ->> 'client_id' ~ '^[0-9]{1,9}$' then (j.metadata ->> 'client_id')::int end as "clientId",
  case j.status when 'retrying' then 'PENDING' when 'unconfirmed' then 'FAILED' else upper(j.status) end as status,
  j.priority::int as priority, j.payload, coalesce(j.metadata -> 'is_group' = 'true', false) as "isGroup",
  greatest(j.attempt - case when j.status in ('processing', 'completed') then 1 else 0 end, 0) as "retryCount",
  j.max_attempts as "maxRetries",
  case j.status
    when 'unconfirmed' then coalesce(j.error_message, 'Nobody can tell whether the message was sent.')
    else j.error_message
  end as error,
  j.created_at as "createdAt", j.updated_at as "updatedAt", j.started_at as "processingStartedAt", j.finished_at as "processedAt",
  j.created_at, j.updated_at, j.started_at as processing_started_at, j.finished_at as processed_at
from public.jobs j
where j.queue in ('messages', 'message_retry');
comment on view public.message_queue_items is
  'Outgoing chat messages. The document prints camelCase in its model and snake_case in its SQL; the times are there under both.';

create view public.failed_messages with (security_invoker = true) as
select j.id, j.user_id, j.id as original_message_id,
  case when j.correlation_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then j.correlation_id::uuid end as correlation_id,
  j.kind as message_type, j.payload, j.error_message, j.attempt as failure_count, j.metadata, j.finished_at as created_at
from public.jobs j
where j.queue in ('webhooks', 'messages', 'message_retry') and j.status = 'failed';
comment on view public.failed_messages is
  'The dead letters of message_queue. An insert makes one of what get_next_queue_message() took; redrive_jobs() puts them back.';

-- Publish ---------------------------------------------------------------------------------------

create function filaviva.insert_publication() returns trigger
language plpgsql security invoker
set search_path = ''
as $$
declare
  c_first_options constant jsonb := '{"tiktok": "tiktok_video", "facebook": "facebook_feed", "instagram": "instagram_feed",
    "youtube": "youtube_video", "threads": "threads_post", "x": "x_post", "linkedin": "linkedin_post"}';
  v_option constant text := coalesce(new.option, c_first_options ->> new.platform, new.platform);
  v_platform constant text := split_part(v_option, '_', 1);
  v_problem record;
  v_job jsonb;
  v_id uuid;
begin
  select f.field, f.expected into v_problem
  from (values
    ('id', 'left out: the engine gives it', new.id is not null),
    ('status', 'left out: a new publication is pending', new.status <> 'pending'),
    ('retry_count', 'left out: no attempt was made yet', new.retry_count <> 0),
    ('created_at', 'left out: the engine keeps it', new.created_at is not null),
    ('started_at', 'left out: the engine keeps it', new.started_at is not null),
    ('completed_at', 'left out: the engine keeps it', new.completed_at is not null),
    ('error_message', 'left out: the engine keeps it', new.error_message is not null),
    ('platform_response', 'left out: the engine keeps it', new.platform_response is not null),
    ('max_retries', 'a whole number from 1 to 100', new.max_retries not between 1 and 100),
    ('user_id', 'the owner of the publication', new.user_id is null and filaviva.is_trusted()),
    ('content', 'an object', jsonb_typeof(new.content) is distinct from 'object'),
    ('metadata', 'an object', jsonb_typeof(new.metadata) <> 'object')
  ) as f(field, expected, wrong)
  where f.wrong limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('%s of a publication must be %s.', v_problem.field, v_problem.expected), 'Correct the column and insert the row again.');
  end if;
  if not c_first_options ? coalesce(v_platform, '') or v_option !~ '^[a-z]+(_[a-z]+)+$' then
    perform filaviva.fail(400, 'unknown_platform', format('%L is no platform and no option of one.', coalesce(new.option, new.platform)),
      'The platforms are ' || (select string_agg(p, ', ' order by p) from jsonb_object_keys(c_first_options) p) || '; an option looks like tiktok_video.');
  end if;
  if new.platform not in (v_platform, v_option) then
    perform filaviva.fail(400, 'invalid_field', format('platform must be %s, the platform of %s.', v_platform, v_option), 'Correct one of the two.');
  end if;

  v_job := jsonb_strip_nulls(jsonb_build_object('kind', 'publish_post', 'user_id', new.user_id, 'max_attempts', new.max_retries))
    || jsonb_build_object('metadata', coalesce(new.metadata, '{}'),
      'payload', jsonb_build_object('option', v_option, 'platform', v_platform, 'content', new.content));
  v_id := public.enqueue_jobs(jsonb_build_array(v_job)) -> 0 ->> 'job_id';
  select p.* into new from public.publication_jobs p where p.id = v_id;
  return new;
end
$$;
comment on function filaviva.insert_publication() is
  'Enqueues what is inserted into publication_jobs, as its caller. The engine''s columns are refused: nobody inserts a publication that is already completed.';
create trigger insert_publication instead of insert on public.publication_jobs
  for each row execute function filaviva.insert_publication();

create function public.process_publication_jobs(max_concurrent int default null) returns boolean
language plpgsql security invoker
set search_path = ''
as $$
begin
  if max_concurrent not between 1 and 1000 then
    perform filaviva.fail(400, 'invalid_field', 'max_concurrent must be a whole number from 1 to 1,000.', 'Leave it out to keep the queue''s concurrency.');
  end if;
  if exists (select from public.queues q where q.name = 'publication_queue' and q.concurrency is distinct from max_concurrent and max_concurrent is not null) then
    perform public.create_queue('publication_queue', jsonb_build_object('concurrency', max_concurrent));
  end if;
  return public.due_queues() @> '[{"queue": "publication_queue"}]' and public.kick_queue('publication_queue');
end
$$;
comment on function public.process_publication_jobs(int) is
  'Wakes the drain when publications are due, and answers whether it did. max_concurrent becomes the queue''s concurrency and stays it.';

-- Consume ---------------------------------------------------------------------------------------

create function public.get_next_queue_message()
returns table (id uuid, correlation_id uuid, message_type text, payload jsonb, retry_count int, metadata jsonb)
language plpgsql security invoker
set search_path = ''
as $$
declare
  v_queue text;
  v_job jsonb;
begin
  -- What came in goes before what goes out: an answer may depend on it.
  foreach v_queue in array array['webhooks', 'messages', 'message_retry'] loop
    v_job := public.claim_jobs(v_queue, 1, 'get_next_queue_message', gen_random_uuid()) -> 'jobs' -> 0;
    if v_job is not null then
      return query select m.id, m.correlation_id, m.message_type, m.payload, m.retry_count, m.metadata
        from public.message_queue m where m.id = (v_job ->> 'job_id')::uuid;
      return;
    end if;
  end loop;
end
$$;
comment on function public.get_next_queue_message() is
  'Claims the next message: highest priority first, then in turn; no row when none is due. Its consumer has the queue''s lease_seconds to update message_queue with the end.';

create function filaviva.settle_message(p_id uuid, p_outcome text, p_error text, p_until timestamptz) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_claim_id bigint := (
    select j.claim_id from public.jobs j where j.id = p_id and j.status = 'processing' and j.worker_id = 'get_next_queue_message'
  );
  v_element jsonb := jsonb_build_object('job_id', p_id, 'claim_id', v_claim_id, 'outcome', p_outcome);
begin
  if p_outcome in ('retry', 'reject', 'unconfirmed') then
    v_element := v_element || jsonb_build_object('error', jsonb_build_object('code', 'consumer_error', 'message', coalesce(p_error, 'The consumer reported a failure.')));
  end if;
  if p_outcome = 'retry' and p_until > filaviva.now() then
    v_element := v_element || jsonb_build_object('until', p_until);
  end if;
  if v_claim_id is null or filaviva.settle_jobs(jsonb_build_array(v_element)) -> 0 ->> 'applied' <> 'ok' then
    perform filaviva.fail(409, 'stale_claim', format('Message %s is not held by a consumer of get_next_queue_message().', p_id),
      'Take it with get_next_queue_message(), and report its end within the queue''s lease_seconds.');
  end if;
end
$$;
comment on function filaviva.settle_message(uuid, text, text, timestamptz) is 'Settles what get_next_queue_message() has claimed; PT409 for anything else.';

create function filaviva.update_message() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_outcome constant text := case new.status
    when 'completed' then 'done' when 'retrying' then 'retry' when 'pending' then 'release'
    when 'failed' then 'reject' when 'cancelled' then 'cancelled' when 'unconfirmed' then 'unconfirmed'
  end;
begin
  if v_outcome is null then
    perform filaviva.fail(400, 'invalid_field', format('status of a message cannot be set to %L.', new.status),
      'Set it to completed, retrying, pending (not begun), failed, cancelled or unconfirmed.');
  end if;
  if (new.id, new.user_id, new.correlation_id, new.message_type, new.payload, new.metadata, new.priority, new.max_retries, new.created_at)
    is distinct from (old.id, old.user_id, old.correlation_id, old.message_type, old.payload, old.metadata, old.priority, old.max_retries, old.created_at)
  then
    perform filaviva.fail(400, 'invalid_field', 'Of a message only status, error_message and scheduled_at can be written.', 'Leave the other columns out.');
  end if;
  perform filaviva.settle_message(old.id, v_outcome, new.error_message, nullif(new.scheduled_at, old.scheduled_at));
  select m.* into new from public.message_queue m where m.id = old.id;
  return new;
end
$$;
comment on function filaviva.update_message() is
  'Reports the end of a claimed message by its new status. retrying waits until scheduled_at where that is set, else for the queue''s backoff. processed_at and retry_count are the engine''s: what is written there has no effect.';
create trigger update_message instead of update on public.message_queue
  for each row execute function filaviva.update_message();

create function filaviva.insert_failed_message() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.settle_message(new.original_message_id, 'reject', new.error_message, null);
  select f.* into new from public.failed_messages f where f.id = new.original_message_id;
  return new;
end
$$;
comment on function filaviva.insert_failed_message() is
  'Makes a dead letter of a claimed message. What the row repeats of the message, and its failure_count, the engine knows better: they have no effect.';
create trigger insert_failed_message instead of insert on public.failed_messages
  for each row execute function filaviva.insert_failed_message();

-- Prune -----------------------------------------------------------------------------------------

create function filaviva.limpar_queue_jobs_antigos() returns int
language plpgsql security definer
set search_path = ''
as $$
begin
  perform filaviva.require_operator();
  return filaviva.prune(1000);
end
$$;
comment on function filaviva.limpar_queue_jobs_antigos() is
  'Deletes up to 1,000 finished jobs that are past their queue''s retention; answers how many. Call it until it answers 0.';

create function public.limpar_queue_jobs_antigos() returns int
language sql security invoker
set search_path = ''
as $$ select filaviva.limpar_queue_jobs_antigos() $$;

-- Access ----------------------------------------------------------------------------------------

revoke all on public.queue_jobs, public.publication_jobs, public.message_queue, public.message_queue_items, public.failed_messages
  from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.queue_jobs, public.publication_jobs, public.message_queue, public.message_queue_items, public.failed_messages
  to authenticated, service_role;
grant insert on public.publication_jobs to authenticated, service_role;
grant update on public.message_queue to service_role;
grant insert on public.failed_messages to service_role;

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.process_publication_jobs(int), public.get_next_queue_message(), public.limpar_queue_jobs_antigos()
  from public, anon, authenticated, service_role;
grant execute on function filaviva.limpar_queue_jobs_antigos() to authenticated, service_role;
grant execute on function public.limpar_queue_jobs_antigos() to authenticated, service_role;
grant execute on function public.process_publication_jobs(int), public.get_next_queue_message() to service_role;
