CREATE FUNCTION filaviva.hidden_seconds(p_queue public.queues) RETURNS integer
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$ select p_queue.stall_seconds + 60 $$;

COMMENT ON FUNCTION filaviva.hidden_seconds(p_queue public.queues) IS 'How long a claimed message stays hidden: the outer bound of a claim and a margin. Renewing a lease touches the job alone.';

REVOKE ALL ON FUNCTION filaviva.hidden_seconds(p_queue public.queues) FROM PUBLIC;
