-- Companies: who else may see a job. Members of a company read its jobs and change none of them.

create table public.companies (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint company_has_a_name check (length(name) between 1 and 200),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version bigint not null default 1
);
comment on table public.companies is 'A company whose members work together. Read by its members.';

create table public.company_members (
  company_id uuid not null references public.companies (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null constraint role_is_known check (role in ('owner', 'admin', 'agent')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  version bigint not null default 1,
  primary key (company_id, user_id)
);
create index company_members_by_user on public.company_members (user_id);
comment on table public.company_members is 'Who belongs to a company. Owners and admins change members; an agent only works.';

create function filaviva.my_companies() returns setof uuid
language sql stable security definer
set search_path = ''
as $$ select m.company_id from public.company_members m where m.user_id = (select auth.uid()) $$;
comment on function filaviva.my_companies() is 'The companies of the signed-in user, for policies: a definer''s look, so that members may see members without recursion.';

create function filaviva.create_company(p_name text, p_owner uuid) returns uuid
language plpgsql security definer
set search_path = ''
as $$
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
comment on function filaviva.create_company(text, uuid) is 'Makes a company; its owner is the signed-in user, or p_owner when the service role calls.';

create function filaviva.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) returns void
language plpgsql security definer
set search_path = ''
as $$
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
comment on function filaviva.set_company_member(uuid, uuid, text) is 'Adds a member, changes a role, or removes with a null role: for operators, owners and, except for owners, admins.';

create function public.create_company(p_name text, p_owner uuid default null) returns uuid
language sql security invoker
set search_path = ''
as $$ select filaviva.create_company(p_name, p_owner) $$;

create function public.set_company_member(p_company_id uuid, p_user_id uuid, p_role text) returns void
language sql security invoker
set search_path = ''
as $$ select filaviva.set_company_member(p_company_id, p_user_id, p_role) $$;

-- Access ----------------------------------------------------------------------------------------

alter table public.companies enable row level security;
alter table public.company_members enable row level security;
create policy "members and operators read companies" on public.companies for select to authenticated
  using (id in (select filaviva.my_companies()) or (select filaviva.is_operator()));
create policy "members and operators read members" on public.company_members for select to authenticated
  using (company_id in (select filaviva.my_companies()) or (select filaviva.is_operator()));
revoke all on public.companies, public.company_members from anon, authenticated, service_role;  -- older projects grant by default
grant select on public.companies, public.company_members to authenticated, service_role;

alter policy "owners and operators read jobs" on public.jobs
  using ((select auth.uid()) = user_id or company_id in (select filaviva.my_companies()) or (select filaviva.is_operator()));
alter policy "owners and operators read jobs" on public.jobs rename to "owners, colleagues and operators read jobs";

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.create_company(text, uuid), public.set_company_member(uuid, uuid, text)
  from public, anon, authenticated, service_role;
grant execute on function filaviva.my_companies(), filaviva.create_company(text, uuid),
  filaviva.set_company_member(uuid, uuid, text) to authenticated, service_role;
grant execute on function public.create_company(text, uuid), public.set_company_member(uuid, uuid, text) to authenticated, service_role;
