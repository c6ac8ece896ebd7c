CREATE FUNCTION filaviva.prune_walk(p_after bigint, p_rows integer, p_limit integer, OUT pruned integer, OUT next_after bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  c_slice constant int := 1000;
  v_now constant timestamptz := filaviva.now();
  v_young constant timestamptz := v_now - (select min(least(q.retention_completed, q.retention_failed)) from public.queues q);
  v_until constant timestamptz := clock_timestamp() + interval '1 second';
  v_slice record;
  v_read int := 0;
begin
  pruned := 0;
  next_after := p_after;
  while pruned < p_limit and v_read < p_rows and clock_timestamp() < v_until loop
    select count(*) as n, max(s.seq) as last_seq, max(s.created_at) as youngest,
      coalesce(array_agg(s.id order by s.seq) filter (where s.is_over), '{}') as over
    into v_slice
    from (
      select j.seq, j.id, j.created_at,
        j.finished_at < v_now - case when j.status in ('failed', 'unconfirmed') then q.retention_failed else q.retention_completed end as is_over
      from (select * from public.jobs o where o.seq > next_after order by o.seq limit c_slice) j
      join public.queues q on q.name = j.queue
    ) s;
    if cardinality(v_slice.over) > p_limit - pruned then
      -- Not all of the slice: the next walk begins here again.
      pruned := pruned + cardinality(filaviva.delete_finished(v_slice.over[1:p_limit - pruned]));
      return;
    end if;
    pruned := pruned + cardinality(filaviva.delete_finished(v_slice.over));
    v_read := v_read + v_slice.n;
    if v_slice.n < c_slice or v_slice.youngest > v_young then
      next_after := 0;
      return;
    end if;
    next_after := v_slice.last_seq;
  end loop;
end
$$;

COMMENT ON FUNCTION filaviva.prune_walk(p_after bigint, p_rows integer, p_limit integer, OUT pruned integer, OUT next_after bigint) IS 'Reads at most p_rows jobs in order of enqueue after a place, and deletes at most p_limit that are past their retention, for about a second. Answers how many went and where to go on; 0 when the walk is over.';

REVOKE ALL ON FUNCTION filaviva.prune_walk(p_after bigint, p_rows integer, p_limit integer, OUT pruned integer, OUT next_after bigint) FROM PUBLIC;
