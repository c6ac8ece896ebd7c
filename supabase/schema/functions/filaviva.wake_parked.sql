CREATE FUNCTION filaviva.wake_parked(p_limiter text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  perform filaviva.lock_keys(array_agg(k.limiter), array_agg(k.key)) from filaviva.parked_keys k where k.limiter = p_limiter;
  update filaviva.parked_keys k set next_at = filaviva.now() where k.limiter = p_limiter;
  perform filaviva.mark_for_kick(array(select distinct k.queue from filaviva.parked_keys k where k.limiter = p_limiter));
end
$$;

REVOKE ALL ON FUNCTION filaviva.wake_parked(p_limiter text) FROM PUBLIC;
