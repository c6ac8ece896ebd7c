CREATE FUNCTION filaviva.expected_at(p_queue text, p_ahead integer, p_now timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
declare
  v_per_second numeric := (
    select sum(c.completed + c.failed + c.cancelled + c.unconfirmed) / 60.0 from filaviva.settle_counts c
    where c.queue = p_queue and c.at > p_now - interval '1 minute'
  );
begin
  return case when v_per_second > 0 then p_now + make_interval(secs => (p_ahead / v_per_second)::double precision) end;
end
$$;

COMMENT ON FUNCTION filaviva.expected_at(p_queue text, p_ahead integer, p_now timestamp with time zone) IS 'When so many jobs of a queue will have ended, at the pace of its last minute; null when none has.';

REVOKE ALL ON FUNCTION filaviva.expected_at(p_queue text, p_ahead integer, p_now timestamp with time zone) FROM PUBLIC;
