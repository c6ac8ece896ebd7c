CREATE FUNCTION filaviva.first_jobs(p_jobs filaviva.new_job[]) RETURNS TABLE(ord integer, first_id uuid, is_new boolean)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  return query
  with seen as (
    select n.ord, n.id, n.body_hash, j.id as known_id, j.body_hash as known_hash,
      first_value(n.id) over same_key as batch_id, first_value(n.body_hash) over same_key as batch_hash
    from unnest(p_jobs) n
    left join public.jobs j on j.idempotency_key = n.idempotency_key and j.queue = n.queue
      and coalesce(j.user_id, '00000000-0000-0000-0000-000000000000'::uuid)
        = coalesce(n.user_id, '00000000-0000-0000-0000-000000000000'::uuid)
    where n.idempotency_key is not null
    window same_key as (partition by n.user_id, n.queue, n.idempotency_key order by n.ord)
  )
  select s.ord,
    case when coalesce(s.known_hash, s.batch_hash) = s.body_hash then coalesce(s.known_id, s.batch_id) end,
    s.known_id is null and s.batch_id = s.id
  from seen s;
end
$$;

COMMENT ON FUNCTION filaviva.first_jobs(p_jobs filaviva.new_job[]) IS 'For every keyed element the job that first carried its key; null when that one had another body.';

REVOKE ALL ON FUNCTION filaviva.first_jobs(p_jobs filaviva.new_job[]) FROM PUBLIC;
