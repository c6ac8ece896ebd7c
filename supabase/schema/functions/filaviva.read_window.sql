CREATE FUNCTION filaviva.read_window(p_queue text, p_hidden_seconds integer, p_limit integer, OUT job_ids uuid[], OUT msg_ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO ''
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
declare
  v_msgs bigint[]; v_jobs uuid[]; v_over bigint[]; v_other record;
begin
  -- The job's id as filaviva.job_id_of() reads it, spelled out: a call for each message costs more than all the rest.
  select array_agg(m.msg_id),
    array_agg(case when m.message ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (m.message ->> 'job_id')::uuid end)
  into v_msgs, v_jobs
  from pgmq.read(p_queue, p_hidden_seconds, p_limit) m;

  select coalesce(array_agg(d.id), '{}'), coalesce(array_agg(d.msg_id), '{}') into job_ids, msg_ids
  from (
    select j.id, j.msg_id from public.jobs j
    where j.id = any (v_jobs) and j.msg_id = any (v_msgs) and j.status in ('pending', 'retrying')
    for update skip locked
  ) d;

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
$_$;

COMMENT ON FUNCTION filaviva.read_window(p_queue text, p_hidden_seconds integer, p_limit integer, OUT job_ids uuid[], OUT msg_ids bigint[]) IS 'Reads ready messages from pgmq and locks their jobs; the arrays belong together.';

REVOKE ALL ON FUNCTION filaviva.read_window(p_queue text, p_hidden_seconds integer, p_limit integer, OUT job_ids uuid[], OUT msg_ids bigint[]) FROM PUBLIC;
