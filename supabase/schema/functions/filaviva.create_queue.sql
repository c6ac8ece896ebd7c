CREATE FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
declare
  v_unknown text;
begin
  perform filaviva.require_operator();
  if coalesce(p_name, '') !~ '^[a-z][a-z0-9_]{0,46}$' then
    perform filaviva.fail(400, 'invalid_field', 'p_name must be 1 to 47 lower case letters, digits and _, the first a letter.', 'Choose another name.');
  end if;
  if jsonb_typeof(p_settings) is distinct from 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_settings must be an object.', 'Send {"concurrency": 5}, for instance; {} for the defaults.');
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
    begin
      execute format(
        'update public.queues q set %s from jsonb_populate_record(null::public.queues, $2) s where q.name = $1',
        (select string_agg(format('%1$I = s.%1$I', k.key), ', ') from jsonb_object_keys(p_settings) as k(key))
      ) using p_name, p_settings;
    exception when data_exception or integrity_constraint_violation then
      perform filaviva.fail(400, 'invalid_field', 'A setting cannot be taken: ' || sqlerrm || '.', 'The comments on the columns of public.queues say what each may be.');
    end;
  end if;
end
$_$;

COMMENT ON FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) IS 'Makes the queue and its pgmq queue, or changes the named settings of one that exists.';

REVOKE ALL ON FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.create_queue(p_name text, p_settings jsonb) TO service_role;
