CREATE FUNCTION filaviva.settle_message(p_id uuid, p_outcome text, p_error text, p_until timestamp with time zone) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_claim_id bigint := (
    select j.claim_id from public.jobs j where j.id = p_id and j.status = 'processing' and j.worker_id = 'get_next_queue_message'
  );
  v_element jsonb := jsonb_build_object('job_id', p_id, 'claim_id', v_claim_id, 'outcome', p_outcome);
begin
  if p_outcome in ('retry', 'reject', 'unconfirmed') then
    v_element := v_element || jsonb_build_object('error', jsonb_build_object('code', 'consumer_error', 'message', coalesce(p_error, 'The consumer reported a failure.')));
  end if;
  if p_outcome = 'retry' and p_until > filaviva.now() then
    v_element := v_element || jsonb_build_object('until', p_until);
  end if;
  if v_claim_id is null or filaviva.settle_jobs(jsonb_build_array(v_element)) -> 0 ->> 'applied' <> 'ok' then
    perform filaviva.fail(409, 'stale_claim', format('Message %s is not held by a consumer of get_next_queue_message().', p_id),
      'Take it with get_next_queue_message(), and report its end within the queue''s lease_seconds.');
  end if;
end
$$;

COMMENT ON FUNCTION filaviva.settle_message(p_id uuid, p_outcome text, p_error text, p_until timestamp with time zone) IS 'Settles what get_next_queue_message() has claimed; PT409 for anything else.';

REVOKE ALL ON FUNCTION filaviva.settle_message(p_id uuid, p_outcome text, p_error text, p_until timestamp with time zone) FROM PUBLIC;
