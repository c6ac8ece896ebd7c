-- No just-in-time compiling of the engine's statements: a kind of plan that is switched off is priced so high that
-- PostgreSQL compiles the statement first, for a second or two, when a session meets it (PostgreSQL 15: the first
-- release of a limit took 1.8 s, and 31 ms without). The statements are short; none is worth it.

do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    where p.pronamespace = 'filaviva'::regnamespace and array_to_string(p.proconfig, ',') like '%enable\_%'
  loop
    execute format('alter function %s set jit = off', v_function);
  end loop;
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
