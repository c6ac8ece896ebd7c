CREATE FUNCTION public.pause_queue(p_queue text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.pause_queue(p_queue) $$;

REVOKE ALL ON FUNCTION public.pause_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pause_queue(p_queue text) TO authenticated;
GRANT ALL ON FUNCTION public.pause_queue(p_queue text) TO service_role;
