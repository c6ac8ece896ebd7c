CREATE FUNCTION filaviva.lock_idempotency_keys(p_jobs filaviva.new_job[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_bucket int;
begin
  -- 64 buckets: a bounded number of locks however many keys, taken in one order, so that two
  -- calls with the same key meet here and never deadlock.
  for v_bucket in
    select distinct (abs(hashtext(concat_ws(':', n.user_id, n.queue, n.idempotency_key))::bigint) % 64)::int
    from unnest(p_jobs) n where n.idempotency_key is not null order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('filaviva.idempotency'), v_bucket);
  end loop;
end
$$;

REVOKE ALL ON FUNCTION filaviva.lock_idempotency_keys(p_jobs filaviva.new_job[]) FROM PUBLIC;
