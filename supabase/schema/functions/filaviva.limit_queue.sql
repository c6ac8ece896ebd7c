CREATE FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) RETURNS void
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
  elsif not filaviva.is_limit_key(p_key) then
    perform filaviva.fail(400, 'invalid_field',
      'p_key must be queue, kind, user_id, company_id, instance_id, group_key, a path such as payload.platform, or several joined with +.',
      'Say where in a job the key stands.');
  elsif p_counts is null or p_counts not in ('claims', 'jobs') then
    perform filaviva.fail(400, 'invalid_field', 'p_counts must be claims or jobs.', 'Say what is counted.');
  else
    insert into public.queue_limits (queue, limiter, key, counts) values (p_queue, p_limiter, p_key, p_counts)
    on conflict (queue, limiter, key) do update set counts = excluded.counts;
  end if;
  perform filaviva.wake_parked(p_limiter);
end
$$;

COMMENT ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) IS 'Puts the jobs of a queue under a limit, counted by the key that p_key names in each job, by claims or by jobs; a null key takes the queue out from under it.';

REVOKE ALL ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) TO authenticated;
GRANT ALL ON FUNCTION filaviva.limit_queue(p_queue text, p_limiter text, p_key text, p_counts text) TO service_role;
