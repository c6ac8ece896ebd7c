-- Private topics of Realtime: who may hear and speak on which. A topic names what it belongs to after its colon:
-- `atendente:<user>` is heard by that user alone, `empresa:<company>` and `presence:<company>` by the members of the
-- company. Whatever else is asked for is refused.

create function filaviva.may_use_topic(p_topic text) returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
declare
  c_uuid constant text := '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$';
  v_name constant text := split_part(p_topic, ':', 1);
  v_id constant text := substr(p_topic, length(split_part(p_topic, ':', 1)) + 2);
begin
  if coalesce(v_id, '') !~ c_uuid then  -- also keeps the casts below from failing
    return false;
  end if;
  return case v_name
    when 'atendente' then v_id::uuid = (select auth.uid())
    when 'empresa' then v_id::uuid in (select filaviva.my_companies())
    when 'presence' then v_id::uuid in (select filaviva.my_companies())
    else false
  end;
end
$$;
comment on function filaviva.may_use_topic(text) is 'Whether the signed-in user may hear and speak on a private topic of Realtime.';

create policy "users hear topics that are theirs" on realtime.messages for select to authenticated
  using (extension in ('broadcast', 'presence') and (select filaviva.may_use_topic((select realtime.topic()))));
create policy "users speak on topics that are theirs" on realtime.messages for insert to authenticated
  with check (extension in ('broadcast', 'presence') and (select filaviva.may_use_topic((select realtime.topic()))));

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
grant execute on function filaviva.may_use_topic(text) to authenticated;
