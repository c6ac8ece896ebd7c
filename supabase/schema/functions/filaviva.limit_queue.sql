CREATE FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.require_operator();
  perform filaviva.require_queue(p_queue);
  if not exists (select from public.rate_limiters l where l.name = p_limiter) then
    perform filaviva.fail(404, 'unknown_limiter', format('There is no rate limiter %L.', p_limiter), 'Make it with set_rate_limiter(), or correct its name.');
  end if;
  if p_key is null then
    delete from public.queue_limits q where q.queue = p_queue and q.limiter = p_limiter;
  else
    begin
      insert into public.queue_limits (queue, limiter, key) values (p_queue, p_limiter, p_key) on conflict do nothing;
    exception when check_violation then
      perform filaviva.fail(400, 'invalid_field', 'p_key must be queue, kind, user_id, company_id, instance_id, group_key, or a path such as payload.platform.',
        'Say where in a job the key stands.');
    end;
  end if;
  perform filaviva.wake_parked(p_limiter);
end
$$;

COMMENT ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text) IS 'Puts the jobs of a queue under a limit, counted by the key that p_key names in each job; a null key takes the queue out from under it.';

REVOKE ALL ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text) TO service_role;
