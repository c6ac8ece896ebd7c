CREATE FUNCTION filaviva.purge_queue(p_queue text, p_dry_run boolean) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  c_limit constant int := 1000;
  v_found uuid[];
  v_ids uuid[] := '{}';
  v_waiting bigint;
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  v_found := filaviva.waiting_jobs(p_queue, c_limit);
  if p_dry_run is false then
    perform filaviva.lock_jobs(v_found);
    v_ids := array(
      select j.id from public.jobs j
      where j.id = any (v_found) and j.status in ('pending', 'retrying') and j.committed_at is null
      order by j.seq
    );
    perform filaviva.cancel_waiting(v_ids, filaviva.now());
  else
    select w.due + w.later + w.blocked into v_waiting from filaviva.waiting_counts(p_queue) w;
  end if;
  return jsonb_build_object(
    'matched', coalesce(v_waiting, cardinality(v_found)),
    'changed', cardinality(v_ids),
    'job_ids', to_jsonb(case when p_dry_run is false then v_ids else v_found end),
    'cursor', case when p_dry_run is false and cardinality(v_found) = c_limit then (select max(j.seq) from public.jobs j where j.id = any (v_found)) end
  );
end
$$;

COMMENT ON FUNCTION filaviva.purge_queue(p_queue text, p_dry_run boolean) IS 'For operators, dangerous: cancels every job of a queue that waits (pending or retrying), at most 1,000 a call; call again while there is a cursor. Their rows stay, as cancelled, until retention. Jobs that run go on, and so do those past their point of no return, which only look for their end. A dry run, which is the default, counts what waits and names the first 1,000.';

REVOKE ALL ON FUNCTION filaviva.purge_queue(p_queue text, p_dry_run boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.purge_queue(p_queue text, p_dry_run boolean) TO authenticated;
GRANT ALL ON FUNCTION filaviva.purge_queue(p_queue text, p_dry_run boolean) TO service_role;
