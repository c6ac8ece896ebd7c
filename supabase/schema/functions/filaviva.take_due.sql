CREATE FUNCTION filaviva.take_due(p_queue text, p_min_priority integer, p_limit integer) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return array(
    select j.id from public.jobs j
    where j.queue = p_queue and j.fair_tag is not null and j.priority >= p_min_priority
    order by j.priority desc, j.fair_tag
    limit greatest(p_limit, 0)
    for update skip locked
  );
end
$$;

COMMENT ON FUNCTION filaviva.take_due(p_queue text, p_min_priority integer, p_limit integer) IS 'Locks the next due jobs of a queue, best first.';

REVOKE ALL ON FUNCTION filaviva.take_due(p_queue text, p_min_priority integer, p_limit integer) FROM PUBLIC;
