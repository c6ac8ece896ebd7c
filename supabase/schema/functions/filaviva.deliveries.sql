CREATE FUNCTION filaviva.deliveries(p_queue text, p_which text DEFAULT 'all'::text, p_limit integer DEFAULT NULL::integer) RETURNS TABLE(msg_id bigint, job_id uuid, hidden boolean, enqueued_at timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
begin
  -- The job's id as filaviva.job_id_of() reads it, spelled out: a call for each message costs more than all the rest.
  return query execute format(
    $q$select m.msg_id,
        case when m.message ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (m.message ->> 'job_id')::uuid end,
        m.vt > $1, m.enqueued_at
      from pgmq.%I m %s$q$,
    'q_' || p_queue,
    case p_which when 'ready' then 'where m.vt <= $1' when 'hidden' then 'where m.vt > $1' end
      || case when p_limit is not null then ' order by m.msg_id limit $2' else '' end
  ) using clock_timestamp(), p_limit;
end
$_$;

COMMENT ON FUNCTION filaviva.deliveries(p_queue text, p_which text, p_limit integer) IS 'The messages of a queue: all, the ready ones in the window, or the hidden ones in flight; with a limit the first of them. With window_edges() the only reader of a pgmq table.';

REVOKE ALL ON FUNCTION filaviva.deliveries(p_queue text, p_which text, p_limit integer) FROM PUBLIC;
