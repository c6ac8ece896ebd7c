CREATE FUNCTION filaviva.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_caller uuid := case when filaviva.is_operator() then null else filaviva.caller_id() end;
  v_own_role text := (select m.role from public.company_members m where m.company_id = p_company_id and m.user_id = v_caller);
begin
  perform from public.companies c where c.id = p_company_id for update;
  if not found or (v_caller is not null and v_own_role is null) then
    perform filaviva.fail(404, 'unknown_company', 'There is no such company among yours.', 'Check its id.');
  end if;
  if v_own_role = 'agent' or (v_own_role = 'admin' and (p_role is not distinct from 'owner'
    or exists (select from public.company_members m where m.company_id = p_company_id and m.user_id = p_user_id and m.role = 'owner')))
  then
    perform filaviva.fail(403, 'company_role', 'Your role in the company does not allow this.', 'Ask its owner.');
  end if;
  if p_role not in ('owner', 'admin', 'agent') or not exists (select from auth.users u where u.id = p_user_id) then
    perform filaviva.fail(400, 'invalid_field', 'p_role must be owner, admin, agent or null, and p_user_id a user.', 'Null removes the member.');
  end if;
  if p_role is null then
    delete from public.company_members m where m.company_id = p_company_id and m.user_id = p_user_id;
  else
    insert into public.company_members (company_id, user_id, role) values (p_company_id, p_user_id, p_role)
    on conflict (company_id, user_id) do update set role = excluded.role, version = company_members.version + 1, updated_at = filaviva.now();
  end if;
  if not exists (select from public.company_members m where m.company_id = p_company_id and m.role = 'owner') then
    perform filaviva.fail(409, 'last_owner', 'A company keeps at least one owner.', 'Make somebody else an owner first.');
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) IS 'Adds a member, changes a role, or removes with a null role: for operators, owners and, except for owners, admins.';

REVOKE ALL ON FUNCTION filaviva.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) TO service_role;
