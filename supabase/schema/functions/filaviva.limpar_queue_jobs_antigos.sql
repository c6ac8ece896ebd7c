CREATE FUNCTION filaviva.limpar_queue_jobs_antigos() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.require_operator();
  return filaviva.prune(1000);
end
$$;

COMMENT ON FUNCTION filaviva.limpar_queue_jobs_antigos() IS 'Deletes up to 1,000 finished jobs that are past their queue''s retention; answers how many. Call it until it answers 0.';

REVOKE ALL ON FUNCTION filaviva.limpar_queue_jobs_antigos() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.limpar_queue_jobs_antigos() TO authenticated;
GRANT ALL ON FUNCTION filaviva.limpar_queue_jobs_antigos() TO service_role;
