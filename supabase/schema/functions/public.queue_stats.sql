CREATE FUNCTION public.queue_stats(p_filter jsonb DEFAULT '{}'::jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
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

COMMENT ON FUNCTION public.queue_stats(p_filter jsonb) IS 'Counts of jobs by status, zero-filled, with their total; of those the caller may see.';

REVOKE ALL ON FUNCTION public.queue_stats(p_filter jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.queue_stats(p_filter jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.queue_stats(p_filter jsonb) TO service_role;
