CREATE FUNCTION filaviva.sample_queues() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_folded int;
begin
  if not pg_try_advisory_xact_lock(hashtext('filaviva.sample'), 0) then
    return 0;
  end if;
  -- A bounded share a call: after a long stop of cron the backlog goes over several minutes.
  with taken as (
    delete from filaviva.settle_counts c
    where c.ctid = any (array(
      select o.ctid from filaviva.settle_counts o where o.at < v_now - interval '1 minute' order by o.at limit 200000
    ))
    returning *
  ), folded as (
    insert into filaviva.queue_samples as s (at, queue, completed, failed, cancelled, unconfirmed, again)
    select date_bin('10 seconds', t.at, 'epoch'), t.queue, sum(t.completed), sum(t.failed), sum(t.cancelled), sum(t.unconfirmed), sum(t.again)
    from taken t group by 1, 2 order by 1, 2
    on conflict (at, queue) do update set
      completed = s.completed + excluded.completed, failed = s.failed + excluded.failed, cancelled = s.cancelled + excluded.cancelled,
      unconfirmed = s.unconfirmed + excluded.unconfirmed, again = s.again + excluded.again
  )
  select count(*) into v_folded from taken;
  insert into filaviva.queue_samples (at, queue, size)
  select date_bin('10 seconds', v_now, 'epoch'), q.name, w.due + w.later + w.blocked
  from public.queues q, lateral filaviva.waiting_counts(q.name) w
  on conflict (at, queue) do update set size = excluded.size;
  delete from filaviva.queue_samples s where s.at < v_now - interval '1 day';
  return v_folded;
end
$$;

COMMENT ON FUNCTION filaviva.sample_queues() IS 'Run by cron every minute: notes each queue''s size, folds settle counts older than a minute into buckets, forgets buckets older than a day. Answers how many counts it folded.';

REVOKE ALL ON FUNCTION filaviva.sample_queues() FROM PUBLIC;
