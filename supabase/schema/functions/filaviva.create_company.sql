CREATE FUNCTION filaviva.create_company(p_name text, p_owner uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_owner uuid := coalesce(filaviva.caller_id(), p_owner);
  v_id uuid;
begin
  if coalesce(length(trim(p_name)), 0) not between 1 and 200 then
    perform filaviva.fail(400, 'invalid_field', 'p_name must have 1 to 200 characters.', 'Send the company''s name.');
  end if;
  if not exists (select from auth.users u where u.id = v_owner) then
    perform filaviva.fail(400, 'unknown_user', 'The owner is not a user of this project.', 'Send p_owner, the id of a user.');
  end if;
  insert into public.companies (name) values (trim(p_name)) returning id into v_id;
  insert into public.company_members (company_id, user_id, role) values (v_id, v_owner, 'owner');
  return v_id;
end
$$;

COMMENT ON FUNCTION filaviva.create_company(p_name text, p_owner uuid) IS 'Makes a company; its owner is the signed-in user, or p_owner when the service role calls.';

REVOKE ALL ON FUNCTION filaviva.create_company(p_name text, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.create_company(p_name text, p_owner uuid) TO authenticated;
GRANT ALL ON FUNCTION filaviva.create_company(p_name text, p_owner uuid) TO service_role;
