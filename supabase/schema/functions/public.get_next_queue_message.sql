CREATE FUNCTION public.get_next_queue_message() RETURNS TABLE(id uuid, correlation_id uuid, message_type text, payload jsonb, retry_count integer, metadata jsonb)
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_queue text;
  v_job jsonb;
begin
  -- What came in goes before what goes out: an answer may depend on it.
  foreach v_queue in array array['webhooks', 'messages', 'message_retry'] loop
    v_job := public.claim_jobs(v_queue, 1, 'get_next_queue_message', gen_random_uuid()) -> 'jobs' -> 0;
    if v_job is not null then
      return query select m.id, m.correlation_id, m.message_type, m.payload, m.retry_count, m.metadata
        from public.message_queue m where m.id = (v_job ->> 'job_id')::uuid;
      return;
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION public.get_next_queue_message() IS 'Claims the next message: highest priority first, then in turn; no row when none is due. Its consumer has the queue''s lease_seconds to update message_queue with the end.';

REVOKE ALL ON FUNCTION public.get_next_queue_message() FROM PUBLIC;
GRANT ALL ON FUNCTION public.get_next_queue_message() TO service_role;
