CREATE FUNCTION filaviva.lock_keys(p_limiters text[], p_keys text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_bucket int;
begin
  for v_bucket in
    select distinct filaviva.key_bucket(k.limiter, k.key) from unnest(p_limiters, p_keys) as k(limiter, key) order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('filaviva.limit'), v_bucket);
  end loop;
end
$$;

COMMENT ON FUNCTION filaviva.lock_keys(p_limiters text[], p_keys text[]) IS 'Locks keys of limits in one order, waiting for them.';

REVOKE ALL ON FUNCTION filaviva.lock_keys(p_limiters text[], p_keys text[]) FROM PUBLIC;
