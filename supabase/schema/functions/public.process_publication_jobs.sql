CREATE FUNCTION public.process_publication_jobs(max_concurrent integer DEFAULT NULL::integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if max_concurrent not between 1 and 1000 then
    perform filaviva.fail(400, 'invalid_field', 'max_concurrent must be a whole number from 1 to 1,000.', 'Leave it out to keep the queue''s concurrency.');
  end if;
  if exists (select from public.queues q where q.name = 'publication_queue' and q.concurrency is distinct from max_concurrent and max_concurrent is not null) then
    perform public.create_queue('publication_queue', jsonb_build_object('concurrency', max_concurrent));
  end if;
  return public.due_queues() @> '[{"queue": "publication_queue"}]' and public.kick_queue('publication_queue');
end
$$;

COMMENT ON FUNCTION public.process_publication_jobs(max_concurrent integer) IS 'Wakes the drain when publications are due, and answers whether it did. max_concurrent becomes the queue''s concurrency and stays it.';

REVOKE ALL ON FUNCTION public.process_publication_jobs(max_concurrent integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.process_publication_jobs(max_concurrent integer) TO service_role;
