-- Kick: how a job starts within milliseconds. An enqueue leaves a mark; when its transaction
-- commits, the queue's drain is woken through pg_net unless it was woken within the last second.
-- A kick is a hint: when one is lost, tick() finds the work. A broken one never breaks an enqueue.

create unlogged table filaviva.kick_marks (
  id bigint generated always as identity primary key,
  queue text not null
);
comment on table filaviva.kick_marks is 'One row a queue and enqueue call, gone again at its commit: it only carries the deferred trigger.';
alter table filaviva.kick_marks enable row level security;

create table filaviva.drain_settings (
  only_row boolean primary key default true constraint there_is_one_row check (only_row),
  call_timeout_ms int not null default 2000 constraint call_timeout_is_positive check (call_timeout_ms > 0)
);
comment on column filaviva.drain_settings.call_timeout_ms is
  'How long pg_net waits for the drain''s answer, which nobody needs: one slow answer holds up every request of the database.';
alter table filaviva.drain_settings enable row level security;
insert into filaviva.drain_settings default values;

create function filaviva.secret(p_name text) returns text
language sql stable security definer
set search_path = ''
as $$ select s.decrypted_secret from vault.decrypted_secrets s where s.name = p_name $$;
comment on function filaviva.secret(text) is 'A secret of the vault by its name, for the engine alone; null when there is none.';

create function filaviva.put_secret(p_name text, p_secret text) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  v_id uuid := (select s.id from vault.secrets s where s.name = p_name);
begin
  if v_id is null then
    perform vault.create_secret(p_secret, p_name);
  else
    perform vault.update_secret(v_id, p_secret);
  end if;
end
$$;
comment on function filaviva.put_secret(text, text) is 'Stores a secret under a name, over an older one.';

create function filaviva.configure_drain(p_url text, p_token text, p_call_timeout_ms int) returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may say where the drain is.', 'Use the service key, or SQL as postgres.');
  end if;
  if p_url !~ '^https?://' then
    perform filaviva.fail(400, 'invalid_field', 'p_url must be an http(s) address.', 'Send the address of /api/queue/process.');
  end if;
  perform filaviva.put_secret('filaviva_drain_url', p_url);
  perform filaviva.put_secret('filaviva_drain_token', p_token);
  update filaviva.drain_settings set call_timeout_ms = p_call_timeout_ms;
end
$$;
comment on function filaviva.configure_drain(text, text, int) is
  'Stores the drain''s address and bearer token in the vault, and how long a call may wait for its answer.';

create function filaviva.post_drain(p_queue text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_url text := filaviva.secret('filaviva_drain_url');
  v_token text := filaviva.secret('filaviva_drain_token');
begin
  if v_url is null or v_token is null then
    raise warning 'filaviva: no drain is configured; call configure_drain(url, token)';
    return false;
  end if;
  perform net.http_post(
    url := v_url,
    body := jsonb_build_object('queues', jsonb_build_array(p_queue)),
    headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_token),
    timeout_milliseconds := (select s.call_timeout_ms from filaviva.drain_settings s)
  );
  return true;
exception when others then
  raise warning 'filaviva: the drain could not be called: %', sqlerrm;
  return false;
end
$$;
comment on function filaviva.post_drain(text) is 'Asks pg_net to call the drain for a queue. Never raises: answers false when it could not.';

create function filaviva.kick_queue(p_queue text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  v_posted_at timestamptz;
begin
  if exists (select from public.queues q where q.name = p_queue and q.paused_at is not null) then
    return false;
  end if;
  select k.posted_at into v_posted_at from filaviva.kicks k where k.queue = p_queue for update skip locked;
  if found then
    if v_posted_at > filaviva.now() - interval '1 second' then
      return false;  -- a drain woken within this second lingers for longer than that
    end if;
    update filaviva.kicks set posted_at = filaviva.now() where queue = p_queue;
  end if;
  -- A locked row is another transaction's kick that may still roll back: post our own.
  return filaviva.post_drain(p_queue);
end
$$;
comment on function filaviva.kick_queue(text) is 'Wakes the drain of a queue, at most once a second. True when a call was posted.';

create function filaviva.mark_for_kick(p_queues text[]) returns void
language sql volatile
set search_path = ''
as $$ insert into filaviva.kick_marks (queue) select q from unnest(p_queues) q $$;

create function filaviva.kick_at_commit() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  delete from filaviva.kick_marks where id = new.id;
  perform filaviva.kick_queue(new.queue);
  return null;
end
$$;
create constraint trigger kick_at_commit after insert on filaviva.kick_marks
  deferrable initially deferred for each row execute function filaviva.kick_at_commit();

create function public.kick_queue(p_queue text) returns boolean
language sql security invoker
set search_path = ''
as $$ select filaviva.kick_queue(p_queue) $$;

create function public.configure_drain(p_url text, p_token text, p_call_timeout_ms int default 2000) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.configure_drain(p_url, p_token, p_call_timeout_ms) $$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.kick_queue(text), public.configure_drain(text, text, int)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.kick_queue(text), filaviva.configure_drain(text, text, int) to service_role;
grant execute on function public.kick_queue(text), public.configure_drain(text, text, int) to service_role;
