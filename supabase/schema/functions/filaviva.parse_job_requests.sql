CREATE FUNCTION filaviva.parse_job_requests(p_jobs jsonb) RETURNS filaviva.new_job[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_trusted constant boolean := filaviva.is_trusted();
  v_owner constant uuid := filaviva.caller_id();
  v_jobs filaviva.new_job[];
  v_bad record;
begin
  perform filaviva.check_job_requests(p_jobs);
  begin
    v_jobs := array(select r from filaviva.read_job_requests(p_jobs, v_owner) r);
  exception when data_exception then
    perform filaviva.fail(400, 'invalid_field', 'A field of a job cannot be read: ' || sqlerrm || '.',
      'scheduled_at is an ISO 8601 time; user_id and company_id are uuids.');
  end;

  select n.ord, n.kind, n.queue, k.kind is null as no_kind, q.name is null as no_queue, k.user_may_enqueue, n.user_id, n.company_id, n.instance_id
  into v_bad
  from unnest(v_jobs) n
  left join public.kinds k on k.kind = n.kind
  left join public.queues q on q.name = n.queue
  where k.kind is null or q.name is null
    or (not v_trusted and (not k.user_may_enqueue or n.queue <> k.queue or n.user_id is distinct from auth.uid()
      or n.company_id is not null or n.instance_id is not null))
  order by n.ord limit 1;
  if not found then
    if exists (
      select from (select distinct n.user_id from unnest(v_jobs) n where n.user_id is not null) o
      where not exists (select from auth.users u where u.id = o.user_id)
    ) then
      perform filaviva.fail(400, 'unknown_user', 'A job names a user who does not exist.', 'Check user_id; the user may have been deleted.');
    end if;
    return v_jobs;
  end if;
  case
    when v_bad.no_kind then
      perform filaviva.fail(400, 'unknown_kind', format('Job %s has the unknown kind %L.', v_bad.ord - 1, v_bad.kind), 'Register the kind with register_kind(), or correct its name.');
    when v_bad.no_queue then
      perform filaviva.fail(400, 'unknown_queue', format('Job %s names the unknown queue %L.', v_bad.ord - 1, v_bad.queue), 'Make the queue with create_queue(), or leave the field out.');
    when v_bad.user_id is distinct from auth.uid() then
      perform filaviva.fail(403, 'foreign_user', format('Job %s names another user.', v_bad.ord - 1), 'Leave user_id out: the owner is the signed-in user.');
    else
      perform filaviva.fail(403, 'service_only', format('Job %s may be enqueued by the service role alone.', v_bad.ord - 1),
        'A user may enqueue kinds with user_may_enqueue into their own queue, without company_id or instance_id.');
  end case;
end
$$;

COMMENT ON FUNCTION filaviva.parse_job_requests(p_jobs jsonb) IS 'Checks a whole enqueue call against form, catalogue and caller; the first error names its position.';

REVOKE ALL ON FUNCTION filaviva.parse_job_requests(p_jobs jsonb) FROM PUBLIC;
