-- Plans: a session keeps the plan that it made when a table was nearly empty, and a queue's tables fill
-- within seconds. What looks up jobs by their ids or the line by its order must do so by index, however
-- small the tables were at the first call: with a plan of that moment, settling a thousand retries among
-- 200,000 jobs reads all of them a thousand times.

do $$
declare
  c_names constant text[] := array[
    'admit', 'apply_decisions', 'cancel_jobs', 'cancel_waiting', 'claim_job', 'decide', 'expire', 'give_back_hits', 'leave_line', 'line_up',
    'lock_groups', 'lock_jobs', 'next_due_in_ms', 'park', 'recall_window', 'release_groups', 'release_limits', 'settle_jobs', 'stand_again',
    'window_share', 'yield_to_priority'
  ];
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'filaviva'::regnamespace and p.proname = any (c_names)
  loop
    execute format('alter function %s set enable_seqscan = off', v_function);
    execute format('alter function %s set enable_hashjoin = off', v_function);
    execute format('alter function %s set enable_mergejoin = off', v_function);
  end loop;
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
