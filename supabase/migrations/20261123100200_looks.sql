-- Looks past refused jobs: a claim that meets a flood of jobs which a rate limit refuses parks them for a tenth of a
-- second at most, in steps of a twentieth, and answers with what it has taken. With five times of both, a claim
-- held its answer back for up to 0.8 seconds as long as the flood was new, and the jobs that it had taken with it.

create or replace function filaviva.take_admitted(p_queue text, p_limit int, p_now timestamptz) returns uuid[]
language plpgsql
set search_path = ''
as $$
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

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
