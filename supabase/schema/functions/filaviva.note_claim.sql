CREATE FUNCTION filaviva.note_claim(p_queue text, p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_claimed_at timestamptz := (select c.claimed_at from filaviva.claim_times c where c.queue = p_queue);
begin
  if v_claimed_at is null then
    if pg_try_advisory_xact_lock(hashtext('filaviva.claim_time'), hashtext(p_queue)) then
      insert into filaviva.claim_times (queue, claimed_at) values (p_queue, p_now) on conflict do nothing;
    end if;
  elsif v_claimed_at not between p_now - interval '1 second' and p_now then
    update filaviva.claim_times c set claimed_at = p_now
    from (select l.queue from filaviva.claim_times l where l.queue = p_queue for update skip locked) f where c.queue = f.queue;
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.note_claim(p_queue text, p_now timestamp with time zone) IS 'Notes that a queue is being asked for work, at most once a second and without waiting.';

REVOKE ALL ON FUNCTION filaviva.note_claim(p_queue text, p_now timestamp with time zone) FROM PUBLIC;
