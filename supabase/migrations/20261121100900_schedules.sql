-- Schedules: pg_cron's entries, made here so that nobody has to. The tick is the safety net under
-- every kick: whatever was lost on the way, it finds due work within ten seconds.

create function filaviva.tick() returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_now timestamptz := filaviva.now();
  v_queue public.queues;
  v_released int := 0;
  v_rescued int := 0;
  v_kicked int := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext('filaviva.tick'), 0) then
    return jsonb_build_object('skipped', 'another tick is running');
  end if;
  begin
    v_rescued := filaviva.rescue_jobs(1000);
  exception when others then
    raise warning 'filaviva: rescue failed: %', sqlerrm;
  end;
  for v_queue in select * from public.queues q order by q.name loop
    v_released := v_released + filaviva.release_later(v_queue.name, v_now, 1000) + filaviva.release_groups(v_queue.name, v_now, 1000);
    if filaviva.wants_drain(v_queue) then
      for _ in 1 .. v_queue.max_drains loop
        v_kicked := v_kicked + filaviva.post_drain(v_queue.name)::int;
      end loop;
    end if;
  end loop;
  delete from filaviva.claim_requests r where r.created_at < clock_timestamp() - interval '1 hour';
  return jsonb_build_object('released', v_released, 'rescued', v_rescued, 'kicked', v_kicked);
end
$$;
comment on function filaviva.tick() is
  'One turn of the engine, run by pg_cron every 10 seconds: releases what is due, rescues what was lost, wakes drains where there is work. Answers {released, rescued, kicked}.';

create function filaviva.wants_drain(p_queue public.queues) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return p_queue.paused_at is null
    and (p_queue.concurrency is null or filaviva.running(p_queue.name) < p_queue.concurrency)
    and (exists (select from filaviva.deliveries(p_queue.name) d where not d.hidden) or exists (select from public.jobs j where j.queue = p_queue.name and j.fair_tag is not null));
end
$$;
comment on function filaviva.wants_drain(public.queues) is 'Whether a queue has something to run and room to run it.';

create function public.tick() returns jsonb
language sql security invoker
set search_path = ''
as $$ select filaviva.tick() $$;

select cron.schedule('filaviva_tick', '10 seconds', 'select filaviva.tick()');
select cron.schedule('filaviva_sweep', '*/5 * * * *', 'select filaviva.sweep(50000)');
select cron.schedule('filaviva_prune_messages', '0 */6 * * *', 'select filaviva.prune_messages()');
select cron.schedule('filaviva_prune', '0 2 * * *', 'select filaviva.prune(20000)');

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
revoke execute on function public.tick()
  from public, anon, authenticated, service_role;
grant execute on function filaviva.tick() to service_role;
grant execute on function public.tick() to service_role;
