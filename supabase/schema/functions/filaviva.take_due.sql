CREATE FUNCTION filaviva.take_due(p_queue text, p_min_priority integer, p_limit integer, p_now timestamp with time zone) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_taken uuid[] := '{}';
  v_ids uuid[]; v_rows tid[]; v_found uuid[]; v_expired uuid[]; v_groups uuid[]; v_suspects uuid[];
begin
  -- Ten times at most, so that no claim has to cancel a whole flood of expired jobs: the tick does that.
  for _ in 1 .. 10 loop
    exit when cardinality(v_taken) >= p_limit;
    select array_agg(d.job_id), array_agg(d.ctid) into v_ids, v_rows
    from (
      select d.job_id, d.ctid from filaviva.due_jobs d
      where d.queue = p_queue and d.priority >= p_min_priority
      order by d.priority desc, d.turn, d.seq
      limit p_limit - cardinality(v_taken)
      for update skip locked
    ) d;
    exit when v_ids is null;
    select array_agg(j.id), array_agg(j.id) filter (where j.expires_at <= p_now and j.committed_at is null),
      array_agg(j.id order by j.fair_tag, j.seq) filter (where j.error_code = 'worker_lost' and j.attempt + 1 >= j.max_attempts)
    into v_found, v_expired, v_suspects
    from (
      select j.id, j.expires_at, j.committed_at, j.error_code, j.attempt, j.max_attempts, j.fair_tag, j.seq
      from public.jobs j where j.id = any (v_ids) and j.status in ('pending', 'retrying') for update skip locked
    ) j;
    if v_suspects is not null then
      v_suspects := filaviva.suspects_to_leave(p_queue, v_suspects);
      v_found := array(select f from unnest(v_found) f where f <> all (v_suspects));
      update public.jobs j set next_run_at = p_now + interval '5 seconds', version = j.version + 1, updated_at = p_now where j.id = any (v_suspects);
      delete from filaviva.due_jobs d where d.ctid = any (v_rows) and d.job_id = any (v_suspects);
    end if;
    if v_expired is not null then
      -- Groups before jobs for whoever waits; here a group that another holds is left to the tick.
      v_groups := array(select g.active_job_id from filaviva.job_groups g where g.active_job_id = any (v_expired) for update skip locked);
      perform filaviva.expire(array(
        select j.id from public.jobs j where j.id = any (v_expired) and (j.group_key is null or j.id = any (v_groups))
      ), p_now);
    end if;
    if cardinality(v_found) = cardinality(v_ids) and v_expired is null then
      delete from filaviva.due_jobs d where d.ctid = any (v_rows);
      return v_taken || v_ids;
    end if;
    -- A job that another transaction holds keeps its place; a place without a job goes.
    v_ids := array(
      select i.id from unnest(v_ids, v_rows) with ordinality as i(id, place, ord)
      where i.id = any (v_found) and (v_expired is null or i.id <> all (v_expired)) order by i.ord
    );
    delete from filaviva.due_jobs d where d.ctid = any (v_rows) and (
      d.job_id = any (v_ids) or not exists (select from public.jobs j where j.id = d.job_id and j.finished_at is null));
    v_taken := v_taken || v_ids;
    exit when v_expired is null and coalesce(v_suspects, '{}') = '{}';  -- the others are held elsewhere, and stay
  end loop;
  return v_taken;
end
$$;

COMMENT ON FUNCTION filaviva.take_due(p_queue text, p_min_priority integer, p_limit integer, p_now timestamp with time zone) IS 'Takes the next due jobs of a queue out of the line and locks them, best first; cancels those that have expired.';

REVOKE ALL ON FUNCTION filaviva.take_due(p_queue text, p_min_priority integer, p_limit integer, p_now timestamp with time zone) FROM PUBLIC;
