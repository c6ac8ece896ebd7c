CREATE FUNCTION filaviva.now() RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select clock_timestamp() + coalesce((select c.shift from filaviva.clock_shift c), interval '0')
$$;

COMMENT ON FUNCTION filaviva.now() IS 'The engine''s time: the wall clock as pgmq reads it, not the start of the transaction.';

REVOKE ALL ON FUNCTION filaviva.now() FROM PUBLIC;
