-- pg_net as a hosted project has it, in plain SQL: the same tables, types, functions, rights and messages.
-- Who sends the requests is devstack, which listens on channel pg_net; a notification leaves at commit,
-- as the real wake does, so what is rolled back is never sent.

create schema net;

create domain net.http_method as text
  check (value ilike 'get' or value ilike 'post' or value ilike 'delete');
create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
create type net.http_response as (status_code int, headers jsonb, body text);
create type net.http_response_result as (status net.request_status, message text, response net.http_response);

create unlogged table net.http_request_queue (
  id bigserial,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds int not null
);

create unlogged table net._http_response (
  id bigint,
  status_code int,
  content_type text,
  headers jsonb,
  content text,
  timed_out bool,
  error_msg text,
  created timestamptz not null default now()
);
create index on net._http_response (created);

-- The worker --------------------------------------------------------------------------------------

create function net.wake() returns void
language sql
as $$ select pg_notify('pg_net', 'wake') $$;

create function net.worker_restart() returns boolean
language sql
as $$ select pg_notify('pg_net', 'restart'); select true $$;

create function net._worker_is_up() returns boolean
language sql volatile
as $$
  select pg_stat_clear_snapshot();
  select exists (
    select from pg_stat_activity where application_name like 'pg\_net %' and datname = current_database()
  )
$$;

create function net.check_worker_is_up() returns void
language plpgsql
as $$
begin
  if not net._worker_is_up() then
    raise exception using
      message = 'the pg_net background worker is not up',
      detail = 'the pg_net background worker is down due to an internal error and cannot process requests',
      hint = 'make sure that you didn''t modify any of pg_net internal tables';
  end if;
end
$$;
comment on function net.check_worker_is_up() is 'raises an exception if the pg_net background worker is not up, otherwise it doesn''t return anything';

create function net.wait_until_running() returns void
language plpgsql
as $$
begin
  while not net._worker_is_up() loop
    perform pg_sleep(0.01);
  end loop;
end
$$;
comment on function net.wait_until_running() is 'waits until the worker is running';

-- Addresses: what libcurl's URL parser accepts, and how it puts one together ---------------------------

create function net._urlencode_string(string varchar) returns text
language sql immutable
as $$
  select string_agg(
    case
      when c ~ '[A-Za-z0-9._~-]' then c
      else regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g')
    end,
    '' order by n
  )
  from regexp_split_to_table(string, '') with ordinality letters (c, n)
$$;

create function net._problem_of_url(url text) returns text
language plpgsql immutable
as $$
declare
  v_parts text[] := regexp_match(url, '^([A-Za-z][A-Za-z0-9+.-]*):(/*)([^/?#]*)');
  v_host text[] := regexp_match(v_parts[3], '^(?:.*@)?(\[[^]]*\]|[^:]*)(?::([0-9]{0,5}))?$');
begin
  return case
    when url ~ '[\x01-\x20\x7f]' then 'Malformed input to a URL function'
    when v_parts is null then 'Bad scheme'
    when lower(v_parts[1]) <> all (
      '{dict,file,ftp,ftps,gopher,gophers,http,https,imap,imaps,ldap,ldaps,mqtt,pop3,pop3s,rtsp,smb,smbs,smtp,smtps,telnet,tftp}'
    ) then 'Unsupported URL scheme'
    when length(v_parts[2]) not between 1 and 3 then 'Unsupported number of slashes following scheme'
    when lower(v_parts[1]) = 'file' then null
    when v_host is null or nullif(v_host[2], '')::int > 65535
      then 'Port number was not a decimal number between 0 and 65535'
    when v_host[1] = '' then 'No host part in the URL'
  end;
end
$$;

create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable strict
as $$
declare
  v_problem text := net._problem_of_url(url);
  v_parts text[] := regexp_match(url, '^([^:]*):/+([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$');
  v_query text := coalesce(v_parts[4], '');
  v_param text;
begin
  if v_problem is not null then
    raise internal_error using message = format('invalid URL "%s": %s', url, v_problem);
  end if;
  if url ilike 'file:%' then
    return url;
  end if;
  foreach v_param in array array_remove(params_array, null) loop
    v_query := v_query || case when v_query = '' then '?' when v_query ~ '[?&]$' then '' else '&' end || v_param;
  end loop;
  return lower(v_parts[1]) || '://' || v_parts[2] || coalesce(nullif(v_parts[3], ''), '/') || v_query || coalesce(v_parts[5], '');
end
$$;

create function net._with_params(url text, params jsonb) returns text
language sql immutable
as $$
  select net._encode_url_with_params_array(
    url, array(select net._urlencode_string(key) || '=' || net._urlencode_string(value) from jsonb_each_text(params))
  )
$$;

-- Requests ----------------------------------------------------------------------------------------

create function net.http_get(
  url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000
) returns bigint
language plpgsql
as $$
declare
  v_id bigint;
begin
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
  values ('GET', net._with_params(url, params), headers, timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;

create function net.http_post(
  url text, body jsonb default '{}', params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds int default 5000
) returns bigint
language plpgsql
as $$
declare
  v_content_type text := (
    select value from jsonb_each_text(headers) where lower(key) = 'content-type' limit 1
  );
  v_id bigint;
begin
  if v_content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  if v_content_type is null then
    headers := headers || '{"Content-Type": "application/json"}';
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', net._with_params(url, params), headers, convert_to(body::text, 'UTF8'), timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;

create function net.http_delete(
  url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000,
  body jsonb default null
) returns bigint
language plpgsql
as $$
declare
  v_id bigint;
begin
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', net._with_params(url, params), headers, convert_to(body::text, 'UTF8'), timeout_milliseconds)
  returning id into v_id;
  perform net.wake();
  return v_id;
end
$$;

-- Responses ---------------------------------------------------------------------------------------

create function net._await_response(request_id bigint) returns boolean
language plpgsql
as $$
begin
  while not exists (select from net._http_response r where r.id = request_id) loop
    perform pg_sleep(0.05);
  end loop;
  return true;
end
$$;

create function net._http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language plpgsql
as $$
declare
  v_response net._http_response;
begin
  if not async then
    perform net._await_response(request_id);
  end if;
  select * into v_response from net._http_response r where r.id = request_id;
  if not found or v_response.error_msg is not null then
    return row('ERROR', coalesce(v_response.error_msg, 'request matching request_id not found'), null)::net.http_response_result;
  end if;
  return row(
    'SUCCESS', 'ok', row(v_response.status_code, v_response.headers, v_response.content)::net.http_response
  )::net.http_response_result;
end
$$;

create function net.http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language plpgsql
as $$
begin
  raise notice 'The net.http_collect_response function is deprecated.';
  -- In 0.20.4 this function selects without a destination, and so always fails.
  raise syntax_error using
    message = 'query has no destination for result data',
    hint = 'If you want to discard the results of a SELECT, use PERFORM instead.';
end
$$;

-- Access ------------------------------------------------------------------------------------------

grant usage on schema net to public;
grant all on all sequences in schema net to public;
grant all on all tables in schema net to public;
grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;

select pg_notify('pg_net', 'restart');  -- a worker that was there before the extension looks again
