CREATE FUNCTION filaviva.settle_and_claim(p_results jsonb, p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_settled json := filaviva.settle_jobs(p_results);
begin
  return json_build_object('settled', v_settled, 'claimed', filaviva.claim_jobs(p_queue, p_limit, p_worker_id, p_request_id));
end
$$;

COMMENT ON FUNCTION filaviva.settle_and_claim(p_results jsonb, p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) IS 'Settles the last batch and claims the next in one call: what a busy drain uses.';

REVOKE ALL ON FUNCTION filaviva.settle_and_claim(p_results jsonb, p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.settle_and_claim(p_results jsonb, p_queue text, p_limit integer, p_worker_id text, p_request_id uuid) TO service_role;
