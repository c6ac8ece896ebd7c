CREATE FUNCTION filaviva.record_runs(p_runs jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_steps constant int := 25;
  v_kind text;
  v_new double precision[];
  v_old double precision[];
  v_total double precision;
begin
  if jsonb_typeof(p_runs) is distinct from 'object' then
    perform filaviva.fail(400, 'invalid_field', 'p_runs must be an object.', 'Send {"a_kind": [counts by duration], …}.');
  end if;
  for v_kind in select k.key from jsonb_object_keys(p_runs) as k(key) order by 1 loop
    begin
      v_new := array(
        select n::int::double precision from jsonb_array_elements_text(p_runs -> v_kind) with ordinality as e(n, i) where i <= v_steps order by i
      );
    exception when data_exception then
      perform filaviva.fail(400, 'invalid_field', format('The runs of %L cannot be read.', v_kind), 'Send {"a_kind": [counts by duration], …}.');
    end;
    continue when not exists (select from public.kinds k where k.kind = v_kind);
    select s.runs into v_old from filaviva.kind_stats s where s.kind = v_kind for update;
    v_new := array(select coalesce(v_old[i], 0) + coalesce(v_new[i], 0) from generate_series(1, v_steps) i order by i);
    v_total := (select sum(n) from unnest(v_new) n);
    continue when v_total is null or v_total <= 0;
    if v_total > 1000 then  -- older runs fade
      v_new := array(select n * 1000 / v_total from unnest(v_new) with ordinality as e(n, i) order by i);
    end if;
    insert into filaviva.kind_stats (kind, runs, usual_seconds, updated_at)
    values (v_kind, v_new, (
      select power(2, min(r.i) - 1) / 1000
      from (select i, sum(n) over (order by i) as below, sum(n) over () as total from unnest(v_new) with ordinality as e(n, i)) r
      where r.below >= 0.95 * r.total
    ), filaviva.now())
    on conflict (kind) do update set runs = excluded.runs, usual_seconds = excluded.usual_seconds, updated_at = excluded.updated_at;
  end loop;
end
$$;

COMMENT ON FUNCTION filaviva.record_runs(p_runs jsonb) IS 'Adds counts of runs by duration to kind_stats: {"kind": [at most 1 ms, 2 ms, 4 ms, …]}.';

REVOKE ALL ON FUNCTION filaviva.record_runs(p_runs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.record_runs(p_runs jsonb) TO service_role;
