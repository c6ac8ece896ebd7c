CREATE FUNCTION filaviva.read_window(p_queue text, p_hidden_seconds integer, p_limit integer, OUT job_ids uuid[], OUT msg_ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_msgs bigint[]; v_jobs uuid[]; v_over bigint[]; v_other record;
begin
  select array_agg(m.msg_id), array_agg(filaviva.job_id_of(m.message)) into v_msgs, v_jobs
  from pgmq.read(p_queue, p_hidden_seconds, p_limit) m;

  with delivered as (
    select j.id, j.msg_id from public.jobs j
    where j.id = any (v_jobs) and j.status in ('pending', 'retrying')
    for update skip locked
  )
  select coalesce(array_agg(d.id order by r.msg_id), '{}'), coalesce(array_agg(r.msg_id order by r.msg_id), '{}')
  into job_ids, msg_ids
  from unnest(v_jobs, v_msgs) as r(job_id, msg_id)
  join delivered d on d.id = r.job_id and d.msg_id = r.msg_id;

  if cardinality(job_ids) < coalesce(cardinality(v_jobs), 0) then
    -- A delivery is dropped only when its job is over, gone or has another message ...
    v_over := array(
      select r.msg_id from unnest(v_jobs, v_msgs) as r(job_id, msg_id)
      left join public.jobs j on j.id = r.job_id
      where j.id is null or j.finished_at is not null or j.msg_id is distinct from r.msg_id
    );
    perform pgmq.delete(p_queue, v_over);
    -- ... one whose job is merely locked by another transaction is shown again, and one whose job
    -- still runs, or was lost, stays out of the way until rescue decides.
    for v_other in
      select r.msg_id, j.status = 'processing' as runs
      from unnest(v_jobs, v_msgs) as r(job_id, msg_id) join public.jobs j on j.id = r.job_id
      where r.msg_id <> all (msg_ids || v_over)
    loop
      perform pgmq.set_vt(p_queue, v_other.msg_id, case when v_other.runs then 60 else 0 end);
    end loop;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.read_window(p_queue text, p_hidden_seconds integer, p_limit integer, OUT job_ids uuid[], OUT msg_ids bigint[]) IS 'Reads ready messages from pgmq and locks their jobs; both arrays are in the messages'' order.';

REVOKE ALL ON FUNCTION filaviva.read_window(p_queue text, p_hidden_seconds integer, p_limit integer, OUT job_ids uuid[], OUT msg_ids bigint[]) FROM PUBLIC;
