CREATE FUNCTION filaviva.extend_leases(p_leases jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '1s'
    AS $$
declare
  v_now timestamptz;
  v_ids uuid[];
  v_answer jsonb;
begin
  if p_leases is null or jsonb_typeof(p_leases) <> 'array' then
    perform filaviva.fail(400, 'invalid_leases', 'p_leases must be an array.', 'Send [{"job_id": …, "claim_id": …}, …].');
  end if;
  begin
    v_ids := array(
      select l.job_id from jsonb_to_recordset(p_leases) as l(job_id uuid, claim_id bigint, progress numeric, note text) where l.job_id is not null);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_leases', 'An element cannot be read: ' || sqlerrm || '.', 'job_id is a uuid, claim_id and progress are numbers.');
  end;
  perform from public.jobs j where j.id = any (v_ids) order by j.id for update;
  v_now := filaviva.now();
  update public.jobs j set
    lease_expires_at = least(v_now + make_interval(secs => q.lease_seconds), j.started_at + make_interval(secs => q.stall_seconds)),
    progress = coalesce(least(greatest(nullif(l.progress, 'NaN'), 0), 100), j.progress),
    progress_note = coalesce(left(l.note, 500), j.progress_note),
    version = j.version + 1, updated_at = v_now
  from jsonb_to_recordset(p_leases) as l(job_id uuid, claim_id bigint, progress numeric, note text), public.queues q
  where j.id = l.job_id and j.id = any (v_ids) and j.claim_id = l.claim_id and j.status = 'processing' and q.name = j.queue;

  select jsonb_agg(
      case when j.id is null then jsonb_build_object('job_id', l.job_id, 'stale', true)
      else jsonb_build_object('job_id', l.job_id, 'lease_expires_at', j.lease_expires_at, 'cancel_requested', j.cancel_requested_at is not null) end
      order by l.ord)
  into v_answer
  from rows from (jsonb_to_recordset(p_leases) as (job_id uuid, claim_id bigint)) with ordinality as l(job_id, claim_id, ord)
  left join public.jobs j on j.id = l.job_id and j.id = any (v_ids) and j.claim_id = l.claim_id and j.status = 'processing';
  return coalesce(v_answer, '[]');
end
$$;

COMMENT ON FUNCTION filaviva.extend_leases(p_leases jsonb) IS 'Renews leases up to the queue''s stall bound, writes progress, and tells which claims are stale and which jobs their owner wants cancelled.';

REVOKE ALL ON FUNCTION filaviva.extend_leases(p_leases jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.extend_leases(p_leases jsonb) TO service_role;
