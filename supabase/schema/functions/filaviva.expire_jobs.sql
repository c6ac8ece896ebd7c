CREATE FUNCTION filaviva.expire_jobs(p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_now timestamptz := filaviva.now();
  v_due record;
  v_expired int := 0;
begin
  with due as (
    select e.ctid from filaviva.expiries e where e.expires_at <= v_now order by e.expires_at limit p_limit for update skip locked
  ), gone as (
    delete from filaviva.expiries e using due d where e.ctid = d.ctid returning e.job_id
  )
  select array_agg(g.job_id) as ids into v_due from gone g;
  if v_due.ids is not null then
    perform filaviva.lock_jobs(v_due.ids);
    v_expired := filaviva.expire(v_due.ids, v_now);
  end if;
  return v_expired;
end
$$;

COMMENT ON FUNCTION filaviva.expire_jobs(p_limit integer) IS 'Cancels jobs that were not started by their expires_at; answers how many. One that runs at that time is not stopped, but its next attempt is.';

REVOKE ALL ON FUNCTION filaviva.expire_jobs(p_limit integer) FROM PUBLIC;
