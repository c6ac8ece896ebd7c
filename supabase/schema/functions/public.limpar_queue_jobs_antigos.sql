CREATE FUNCTION public.limpar_queue_jobs_antigos() RETURNS integer
    LANGUAGE sql
    SET search_path TO ''
    AS $$ select filaviva.limpar_queue_jobs_antigos() $$;

REVOKE ALL ON FUNCTION public.limpar_queue_jobs_antigos() FROM PUBLIC;
GRANT ALL ON FUNCTION public.limpar_queue_jobs_antigos() TO authenticated;
GRANT ALL ON FUNCTION public.limpar_queue_jobs_antigos() TO service_role;
