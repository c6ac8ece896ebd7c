CREATE FUNCTION filaviva.claim_answer(p_jobs json, p_queue text, p_now timestamp with time zone, p_state text) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
begin
  return json_build_object('jobs', p_jobs, 'state', p_state, 'next_due_in_ms', case
    -- Jobs that another transaction holds, or that stand behind many refused ones: look again in a moment.
    when p_state = 'empty' and exists (select from filaviva.due_jobs d where d.queue = p_queue) then 50
    when p_state = 'enough' then null  -- what is due must wait for a slot, not for a time
    else filaviva.next_due_in_ms(p_queue, p_now)
  end);
end
$$;

REVOKE ALL ON FUNCTION filaviva.claim_answer(p_jobs json, p_queue text, p_now timestamp with time zone, p_state text) FROM PUBLIC;
