CREATE FUNCTION filaviva.tick() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

COMMENT ON FUNCTION filaviva.tick() IS 'One turn of the engine, run by pg_cron every 10 seconds: releases what is due, rescues what was lost, wakes drains where there is work. Answers {released, rescued, kicked}.';

REVOKE ALL ON FUNCTION filaviva.tick() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.tick() TO service_role;
