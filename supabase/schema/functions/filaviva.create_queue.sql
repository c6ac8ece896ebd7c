CREATE FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  v_unknown text;
begin
  if not filaviva.is_operator() then
    perform filaviva.fail(403, 'operator_only', 'Only an operator may create or change a queue.', 'Use the service key, or SQL as postgres.');
  end if;
  select k.key into v_unknown
  from jsonb_object_keys(p_settings) as k(key)
  where k.key in ('name', 'paused_at', 'created_at') or not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'public.queues'::regclass and a.attname = k.key and a.attnum > 0 and not a.attisdropped
  )
  limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_setting', format('A queue has no setting %L.', v_unknown), 'The settings are the columns of public.queues.');
  end if;

  insert into public.queues (name) values (p_name) on conflict do nothing;
  if found then
    perform pgmq.create(p_name);
    -- Messages come and go at the rate of jobs: vacuum by count, not by share of the table.
    execute format(
      'alter table pgmq.%I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)',
      'q_' || p_name
    );
    insert into filaviva.kicks (queue) values (p_name);
  elsif p_settings ? 'concurrency' then
    perform filaviva.mark_for_kick(array[p_name]);  -- there may be room now
  end if;
  if p_settings <> '{}' then
    execute format(
      'update public.queues q set %s from jsonb_populate_record(null::public.queues, $2) s where q.name = $1',
      (select string_agg(format('%1$I = s.%1$I', k.key), ', ') from jsonb_object_keys(p_settings) as k(key))
    ) using p_name, p_settings;
  end if;
end
$_$;

COMMENT ON FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) IS 'Makes the queue and its pgmq queue, or changes the named settings of one that exists.';

REVOKE ALL ON FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) TO service_role;
