CREATE FUNCTION filaviva.kick_at_commit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  delete from filaviva.kick_marks where id = new.id;
  perform filaviva.kick_queue(new.queue);
  return null;
end
$$;

REVOKE ALL ON FUNCTION filaviva.kick_at_commit() FROM PUBLIC;
