CREATE FUNCTION filaviva.update_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  v_outcome constant text := case new.status
    when 'completed' then 'done' when 'retrying' then 'retry' when 'pending' then 'release'
    when 'failed' then 'reject' when 'cancelled' then 'cancelled' when 'unconfirmed' then 'unconfirmed'
  end;
begin
  if v_outcome is null then
    perform filaviva.fail(400, 'invalid_field', format('status of a message cannot be set to %L.', new.status),
      'Set it to completed, retrying, pending (not begun), failed, cancelled or unconfirmed.');
  end if;
  if (new.id, new.user_id, new.correlation_id, new.message_type, new.payload, new.metadata, new.priority, new.max_retries, new.created_at)
    is distinct from (old.id, old.user_id, old.correlation_id, old.message_type, old.payload, old.metadata, old.priority, old.max_retries, old.created_at)
  then
    perform filaviva.fail(400, 'invalid_field', 'Of a message only status, error_message and scheduled_at can be written.', 'Leave the other columns out.');
  end if;
  perform filaviva.settle_message(old.id, v_outcome, new.error_message, nullif(new.scheduled_at, old.scheduled_at));
  select m.* into new from public.message_queue m where m.id = old.id;
  return new;
end
$$;

COMMENT ON FUNCTION filaviva.update_message() IS 'Reports the end of a claimed message by its new status. retrying waits until scheduled_at where that is set, else for the queue''s backoff. processed_at and retry_count are the engine''s: what is written there has no effect.';

REVOKE ALL ON FUNCTION filaviva.update_message() FROM PUBLIC;
