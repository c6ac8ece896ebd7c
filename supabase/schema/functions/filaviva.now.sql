CREATE FUNCTION filaviva.now() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  -- plpgsql keeps its plan; a function in SQL is planned anew at every call, which costs twenty times as much.
  return clock_timestamp() + coalesce((select c.shift from filaviva.clock_shift c), interval '0');
end
$$;

COMMENT ON FUNCTION filaviva.now() IS 'The engine''s time: the wall clock as pgmq reads it, not the start of the transaction.';

REVOKE ALL ON FUNCTION filaviva.now() FROM PUBLIC;
