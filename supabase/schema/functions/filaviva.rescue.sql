CREATE FUNCTION filaviva.rescue(p_queue public.queues, p_job_ids uuid[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_heads uuid[];
  v_lost uuid[];
begin
  -- Groups before jobs, as everywhere; what somebody else holds is rescued at the next turn.
  v_heads := array(select g.active_job_id from filaviva.job_groups g where g.active_job_id = any (p_job_ids) for update skip locked);
  v_lost := array(
    select j.id from public.jobs j
    where j.id = any (p_job_ids) and filaviva.is_lost(j, p_queue, v_now) and (j.group_key is null or j.id = any (v_heads))
    order by j.id for update skip locked
  );
  if v_lost = '{}' then
    return 0;
  end if;
  perform filaviva.settle_jobs((
    select jsonb_agg(filaviva.lost_settlement(j, p_queue, v_now)) from public.jobs j where j.id = any (v_lost)
  ));
  -- The lost worker may come back: its claim no longer holds, so its result is stale, not a repeat.
  update public.jobs j set claim_id = null, version = j.version + 1 where j.id = any (v_lost);
  return cardinality(v_lost);
end
$$;

COMMENT ON FUNCTION filaviva.rescue(p_queue public.queues, p_job_ids uuid[]) IS 'Settles those of the jobs whose claim is lost; answers how many.';

REVOKE ALL ON FUNCTION filaviva.rescue(p_queue public.queues, p_job_ids uuid[]) FROM PUBLIC;
