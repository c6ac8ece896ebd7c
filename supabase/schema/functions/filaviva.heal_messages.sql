CREATE FUNCTION filaviva.heal_messages(p_queue public.queues, p_after bigint, p_last bigint) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_present bigint[] := array(select d.msg_id from filaviva.deliveries(p_queue.name) d);
  v_lost uuid[];
  v_healed int;
begin
  -- A minute of grace: the message of a row that is being written now may not be visible yet.
  v_lost := array(
    select j.id from public.jobs j
    where j.seq > p_after and j.seq <= p_last and j.queue = p_queue.name and j.msg_id is not null and j.finished_at is null
      and j.updated_at < v_now - interval '1 minute' and j.msg_id <> all (v_present)
  );
  update public.jobs j set msg_id = null, next_run_at = v_now, version = j.version + 1, updated_at = v_now
  from (
    select l.id from public.jobs l where l.id = any (v_lost) and l.status in ('pending', 'retrying') and l.msg_id <> all (v_present)
    for update skip locked
  ) w
  where j.id = w.id;
  get diagnostics v_healed = row_count;
  return v_healed + filaviva.rescue(p_queue, v_lost) + filaviva.heal_places(p_queue, p_after, p_last);
end
$$;

COMMENT ON FUNCTION filaviva.heal_messages(p_queue public.queues, p_after bigint, p_last bigint) IS 'Gives jobs without a message or a place in the line their turn back; settles lost claims.';

REVOKE ALL ON FUNCTION filaviva.heal_messages(p_queue public.queues, p_after bigint, p_last bigint) FROM PUBLIC;
