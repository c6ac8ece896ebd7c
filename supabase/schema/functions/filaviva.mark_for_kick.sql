CREATE FUNCTION filaviva.mark_for_kick(p_queues text[]) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ insert into filaviva.kick_marks (queue) select q from unnest(p_queues) q $$;

REVOKE ALL ON FUNCTION filaviva.mark_for_kick(p_queues text[]) FROM PUBLIC;
