CREATE FUNCTION public.queue_stats(p_filter jsonb DEFAULT '{}'::jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  c_known constant text[] := array['queue', 'kind', 'user_id', 'company_id', 'instance_id', 'group_key', 'created_before', 'created_after'];
  v_wrong text;
  v_filter record;
  v_owner uuid := case when not filaviva.is_operator() and not coalesce(p_filter ? 'company_id', false) then auth.uid() end;
begin
  if p_filter is null or jsonb_typeof(p_filter) <> 'object' then
    perform filaviva.fail(400, 'invalid_field', 'The filter must be an object.', 'Send {} to count every job that you may see.');
  end if;
  select k.key into v_wrong from jsonb_object_keys(p_filter) as k(key) where k.key <> all (c_known) limit 1;
  if found then
    perform filaviva.fail(400, 'unknown_field', format('The filter has an unknown condition %L.', v_wrong), 'The conditions are ' || array_to_string(c_known, ', ') || '.');
  end if;
  select k.key into v_wrong from jsonb_each(p_filter) as k(key, value) where k.value = 'null' limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('The condition %L is null.', v_wrong), 'Leave out what should not matter.');
  end if;
  begin
    select * into v_filter from jsonb_to_record(p_filter) as f(
      queue text, kind text, user_id uuid, company_id uuid, instance_id text, group_key text, created_before timestamptz, created_after timestamptz);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'The filter cannot be read: ' || sqlerrm || '.', 'Ids are uuids; times are ISO 8601.');
  end;
  return (
    select jsonb_object_agg(s.status, coalesce(c.n, 0)) || jsonb_build_object('total', coalesce(sum(c.n), 0))
    from unnest(array['pending', 'processing', 'retrying', 'completed', 'failed', 'cancelled', 'unconfirmed']) as s(status)
    left join (
      select j.status, count(*) as n from public.jobs j
      where (v_owner is null or j.user_id = v_owner)
        and (v_filter.queue is null or j.queue = v_filter.queue)
        and (v_filter.kind is null or j.kind = v_filter.kind)
        and (v_filter.user_id is null or j.user_id = v_filter.user_id)
        and (v_filter.company_id is null or j.company_id = v_filter.company_id)
        and (v_filter.instance_id is null or j.instance_id = v_filter.instance_id)
        and (v_filter.group_key is null or j.group_key = v_filter.group_key)
        and (v_filter.created_before is null or j.created_at < v_filter.created_before)
        and (v_filter.created_after is null or j.created_at > v_filter.created_after)
      group by j.status
    ) c on c.status = s.status
  );
end
$$;

COMMENT ON FUNCTION public.queue_stats(p_filter jsonb) IS 'Counts of jobs by status, zero-filled, with their total. A user''s own jobs; with company_id those of that company which the user may see; an operator''s filter reaches every owner''s.';

REVOKE ALL ON FUNCTION public.queue_stats(p_filter jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.queue_stats(p_filter jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.queue_stats(p_filter jsonb) TO service_role;
