CREATE FUNCTION filaviva.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_key constant text := filaviva.fold_key(p_key);
  v_now constant timestamptz := filaviva.now();
begin
  if not exists (select from public.rate_limiters l where l.name = p_limiter) then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  if coalesce(p_key, '') = '' or not coalesce(isfinite(p_until) and p_until < v_now + interval '31 days', true) then
    perform filaviva.fail(400, 'invalid_field', 'p_key must name what cools down, and p_until a time within 31 days, or null.', 'Correct the field and send the call again.');
  end if;
  perform filaviva.lock_keys(array[p_limiter], array[v_key]);
  -- Said by name, it holds as said: also when it ends a cool-down that is stored.
  delete from filaviva.cool_downs c where c.limiter = p_limiter and c.key = v_key;
  if p_until > v_now then
    perform filaviva.cool_keys(array[p_limiter], array[v_key], array[p_until], array[p_reason]);
  end if;
  update filaviva.parked_keys k set next_at = v_now where k.limiter = p_limiter and k.key = v_key;
  perform filaviva.mark_for_kick(array(select k.queue from filaviva.parked_keys k where k.limiter = p_limiter and k.key = v_key));
end
$$;

COMMENT ON FUNCTION filaviva.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text) IS 'Admits nothing under a key of a limit before a time; a time that is over, or null, ends a cool-down. The jobs that wait show the limit, and why_waiting() the time.';

REVOKE ALL ON FUNCTION filaviva.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.cool_down(p_limiter text, p_key text, p_until timestamp with time zone, p_reason text) TO service_role;
