-- The first of many: a session that planned while a queue was empty read every job that waits for a time, to learn which
-- is the first, at each of its claims (PostgreSQL 15: 18 ms at 20,000 scheduled jobs). Ordered reads of an index stop at
-- the first row whatever the plan knew of the table.

create or replace function filaviva.next_due_in_ms(p_queue text, p_now timestamptz) returns bigint
language plpgsql stable
set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  return (
    select case when d.at is not null then greatest(0, ceil(extract(epoch from d.at - p_now) * 1000))::bigint end
    from (select least(
      (select j.next_run_at from public.jobs j where j.queue = p_queue and j.next_run_at is not null order by j.next_run_at limit 1),
      (select g.next_at from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null order by g.next_at limit 1),
      (select k.next_at from filaviva.parked_keys k where k.queue = p_queue order by k.next_at limit 1)
    ) as at) d
  );
end
$$;

do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    where p.pronamespace = 'filaviva'::regnamespace and p.proname = any (array['release_groups', 'release_later', 'release_limits'])
  loop
    execute format('alter function %s set enable_sort = off', v_function);
    execute format('alter function %s set enable_bitmapscan = off', v_function);
  end loop;
end
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
