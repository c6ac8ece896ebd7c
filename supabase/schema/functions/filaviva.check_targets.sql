CREATE FUNCTION filaviva.check_targets(p_jobs filaviva.new_job[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_trusted constant boolean := filaviva.is_trusted();
  v_bad record;
begin
  select t.* into v_bad
  from (
    select n.ord - 1 as position, n.kind, n.queue, k.kind is null as no_kind, q.name is null as no_queue,
      not v_trusted and n.user_id is distinct from auth.uid() as foreign,
      not v_trusted and (not k.user_may_enqueue or n.queue <> k.queue or n.instance_id is not null) as service_only,
      n.user_id is not null and not exists (select from auth.users a where a.id = n.user_id) as no_user,
      n.company_id is not null and not exists (select from public.companies c where c.id = n.company_id) as no_company,
      n.company_id is not null and not v_trusted and not exists (
        select from public.company_members m where m.company_id = n.company_id and m.user_id = n.user_id) as stranger
    from (
      select min(u.ord) as ord, u.kind, u.queue, u.user_id, u.company_id, u.instance_id from unnest(p_jobs) u
      group by u.kind, u.queue, u.user_id, u.company_id, u.instance_id
    ) n
    left join public.kinds k on k.kind = n.kind
    left join public.queues q on q.name = n.queue
  ) t
  where t.no_kind or t.no_queue or t.foreign or t.service_only or t.no_user or t.no_company or t.stranger
  order by t.position limit 1;
  if not found then
    return;
  elsif v_bad.no_kind then
    perform filaviva.fail(400, 'unknown_kind', format('Job %s has the unknown kind %L.', v_bad.position, v_bad.kind), 'Register the kind with register_kind(), or correct its name.');
  elsif v_bad.no_queue then
    perform filaviva.fail(400, 'unknown_queue', format('Job %s names the unknown queue %L.', v_bad.position, v_bad.queue), 'Make the queue with create_queue(), or leave the field out.');
  elsif v_bad.foreign then
    perform filaviva.fail(403, 'foreign_user', format('Job %s names another user.', v_bad.position), 'Leave user_id out: the owner is the signed-in user.');
  elsif v_bad.service_only then
    perform filaviva.fail(403, 'service_only', format('Job %s may be enqueued by the service role alone.', v_bad.position),
      'A user may enqueue kinds with user_may_enqueue into their own queue, without instance_id.');
  elsif v_bad.no_user then
    perform filaviva.fail(400, 'unknown_user', format('Job %s names a user who does not exist.', v_bad.position), 'Check user_id; the user may have been deleted.');
  elsif v_bad.no_company then
    perform filaviva.fail(400, 'unknown_company', format('Job %s names a company that does not exist.', v_bad.position), 'Make it with create_company(), or correct company_id.');
  else
    perform filaviva.fail(403, 'not_a_member', format('Job %s names a company that its owner does not belong to.', v_bad.position), 'Leave company_id out, or add the user with set_company_member().');
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.check_targets(p_jobs filaviva.new_job[]) IS 'Raises an error that names the first job whose kind, queue, owner, company or instance the caller may not use, or that does not exist.';

REVOKE ALL ON FUNCTION filaviva.check_targets(p_jobs filaviva.new_job[]) FROM PUBLIC;
