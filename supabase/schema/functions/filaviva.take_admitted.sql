CREATE FUNCTION filaviva.take_admitted(p_queue text, p_limit integer, p_now timestamp with time zone) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  c_widest constant int := 320;
  v_taken uuid[] := '{}';
  v_back uuid[] := '{}';
  v_admission filaviva.admission;
  v_next uuid[];
  v_width int := p_limit;
  v_until constant timestamptz := clock_timestamp() + interval '100 milliseconds';
begin
  -- A bounded number of looks and a bounded time, each look wider while everybody is refused; who was refused is parked, so
  -- the next call starts behind them.
  for _ in 1 .. 10 loop
    v_next := filaviva.take_due(p_queue, 0, v_width, p_now);
    exit when v_next = '{}';
    v_admission := filaviva.admit(p_queue, v_next, p_limit - cardinality(v_taken));
    v_taken := v_taken || v_admission.admitted;
    v_back := v_back || v_admission.skipped;
    perform filaviva.park(p_queue, v_admission.refused, v_admission.limiters, v_admission.keys, p_now);
    exit when cardinality(v_taken) >= p_limit or clock_timestamp() > v_until;
    v_width := case when v_admission.admitted = '{}' then least(2 * v_width, greatest(p_limit, c_widest)) else p_limit - cardinality(v_taken) end;
  end loop;
  perform filaviva.stand_again(v_back);
  return v_taken;
end
$$;

COMMENT ON FUNCTION filaviva.take_admitted(p_queue text, p_limit integer, p_now timestamp with time zone) IS 'Takes the next due jobs that every limit of a queue allows; parks those that one refuses.';

REVOKE ALL ON FUNCTION filaviva.take_admitted(p_queue text, p_limit integer, p_now timestamp with time zone) FROM PUBLIC;
