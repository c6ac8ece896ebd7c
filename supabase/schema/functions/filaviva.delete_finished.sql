CREATE FUNCTION filaviva.delete_finished(p_job_ids uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_ids uuid[] := array(
    select j.id from public.jobs j
    where j.id = any (p_job_ids) and j.finished_at is not null
      and not exists (select from filaviva.job_groups g where g.active_job_id = j.id)  -- the sweep frees that group first
    order by j.seq
    for update skip locked
  );
begin
  delete from public.jobs j where j.id = any (v_ids);
  return v_ids;
end
$$;

COMMENT ON FUNCTION filaviva.delete_finished(p_job_ids uuid[]) IS 'Deletes jobs that are still finished once they are locked, with their attempts; answers which. It never waits: one that is being redriven stays.';

REVOKE ALL ON FUNCTION filaviva.delete_finished(p_job_ids uuid[]) FROM PUBLIC;
