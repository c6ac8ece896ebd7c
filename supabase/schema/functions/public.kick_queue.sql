CREATE FUNCTION public.kick_queue(p_queue text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.kick_queue(p_queue) $$;

REVOKE ALL ON FUNCTION public.kick_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.kick_queue(p_queue text) TO service_role;
