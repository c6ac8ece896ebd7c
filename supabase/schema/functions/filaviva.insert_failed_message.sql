CREATE FUNCTION filaviva.insert_failed_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  perform filaviva.settle_message(new.original_message_id, 'reject', new.error_message, null);
  select f.* into new from public.failed_messages f where f.id = new.original_message_id;
  return new;
end
$$;

COMMENT ON FUNCTION filaviva.insert_failed_message() IS 'Makes a dead letter of a claimed message. What the row repeats of the message, and its failure_count, the engine knows better: they have no effect.';

REVOKE ALL ON FUNCTION filaviva.insert_failed_message() FROM PUBLIC;
