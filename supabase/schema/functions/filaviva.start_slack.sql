CREATE FUNCTION filaviva.start_slack() RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$ select interval '2 seconds' $$;

COMMENT ON FUNCTION filaviva.start_slack() IS 'How long after its claim a job under a limit may still be started; a hit counts that much longer than its window.';

REVOKE ALL ON FUNCTION filaviva.start_slack() FROM PUBLIC;
