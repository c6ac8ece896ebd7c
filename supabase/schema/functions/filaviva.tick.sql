CREATE FUNCTION filaviva.tick() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '1s'
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_has_drain constant boolean := filaviva.secret('filaviva_drain_url') is not null and filaviva.secret('filaviva_drain_token') is not null;
  v_queue public.queues;
  v_released int := 0;
  v_rescued int := 0;
  v_kicked int := 0;
  v_problem text;
begin
  if not pg_try_advisory_xact_lock(hashtext('filaviva.tick'), 0) then
    return jsonb_build_object('skipped', 'another tick is running');
  end if;
  begin
    perform filaviva.expire_jobs(1000);  -- first, since it waits for locks and holds none yet
  exception when others then
    v_problem := format('expiry: %s', sqlerrm);
  end;
  begin
    v_rescued := filaviva.rescue_jobs(1000);
  exception when others then
    v_problem := format('rescue: %s', sqlerrm);
  end;
  for v_queue in select * from public.queues q order by q.name loop
    begin
      v_released := v_released + filaviva.release_jobs(v_queue.name, v_now, 1000);
      if v_has_drain and filaviva.wants_drain(v_queue) then
        for _ in 1 .. v_queue.max_drains loop
          v_kicked := v_kicked + filaviva.post_drain(v_queue.name)::int;
        end loop;
      end if;
    exception when others then
      v_problem := format('queue %s: %s', v_queue.name, sqlerrm);
    end;
  end loop;
  delete from filaviva.claim_requests r where r.created_at < clock_timestamp() - interval '1 hour';
  perform filaviva.prune_hits(v_now);
  update filaviva.heartbeats set at = v_now, problem = v_problem where name = 'tick';
  return jsonb_build_object('released', v_released, 'rescued', v_rescued, 'kicked', v_kicked);
end
$$;

COMMENT ON FUNCTION filaviva.tick() IS 'One turn of the engine, run by pg_cron every 10 seconds: releases what is due, rescues what was lost, cancels what has expired, wakes drains where there is work. What fails for one queue stops no other and becomes an alert, and so does a drain without address. Answers {released, rescued, kicked}.';

REVOKE ALL ON FUNCTION filaviva.tick() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.tick() TO service_role;
