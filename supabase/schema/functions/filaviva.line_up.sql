CREATE FUNCTION filaviva.line_up(p_queue text, p_job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  if p_job_ids = '{}' then
    return;
  end if;
  with coming as (
    select j.id, j.priority, j.user_id, j.fair_tag, row_number() over (partition by j.priority, j.user_id, j.fair_tag is null order by j.seq) as place
    from public.jobs j where j.id = any (p_job_ids)
  ), owners as (
    select array_agg(o.priority::int) as priorities, array_agg(o.user_id) as ids from (select distinct c.priority, c.user_id from coming c) o
  ), turns as (
    select c.id, case when c.fair_tag is null then b.base + c.place else least(c.fair_tag, greatest(b.front, 1)) end as turn
    from coming c, owners o, filaviva.turn_bases(p_queue, o.priorities, o.ids) b
    where b.priority = c.priority
      and coalesce(b.owner, '00000000-0000-0000-0000-000000000000') = coalesce(c.user_id, '00000000-0000-0000-0000-000000000000')
  ), placed as (
    update public.jobs j set
      fair_tag = t.turn, next_run_at = null, blocked_by = null, msg_id = null,
      waiting_reason = case when j.next_run_at is not null and j.waiting_reason <> 'scheduled' then j.waiting_reason end,
      version = j.version + 1, updated_at = filaviva.now()
    from turns t where j.id = t.id and j.id = any (p_job_ids)
    returning j.queue, j.priority, j.fair_tag, j.seq, j.id, j.user_id
  )
  insert into filaviva.due_jobs (queue, priority, turn, seq, job_id, owner)
  select p.queue, p.priority, p.fair_tag, p.seq, p.id, coalesce(p.user_id, '00000000-0000-0000-0000-000000000000') from placed p;
end
$$;

COMMENT ON FUNCTION filaviva.line_up(p_queue text, p_job_ids uuid[]) IS 'Puts locked jobs of a queue that wait for nothing any more into the line, each at its turn.';

REVOKE ALL ON FUNCTION filaviva.line_up(p_queue text, p_job_ids uuid[]) FROM PUBLIC;
