CREATE FUNCTION filaviva.find_jobs(p_filter jsonb, p_statuses text[], p_limit integer, p_open boolean DEFAULT false) RETURNS SETOF public.jobs
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
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

COMMENT ON FUNCTION filaviva.find_jobs(p_filter jsonb, p_statuses text[], p_limit integer, p_open boolean) IS 'The caller''s jobs of some statuses that match a filter, in order of enqueue. An operator''s filter reaches every owner''s. p_open: only those that may still be changed, which are past no point of no return and not asked to stop.';

REVOKE ALL ON FUNCTION filaviva.find_jobs(p_filter jsonb, p_statuses text[], p_limit integer, p_open boolean) FROM PUBLIC;
