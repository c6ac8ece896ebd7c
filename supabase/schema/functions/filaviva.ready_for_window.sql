CREATE FUNCTION filaviva.ready_for_window(p_queue text, p_now timestamp with time zone, p_jobs filaviva.new_job[], p_without integer[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  v_room int;
begin
  -- Nobody overtakes: straight into pgmq only while nothing of this queue is due or about to be, and
  -- only at the lowest priority, since a claim takes everything above it from the table first.
  if exists (select from public.jobs j where j.queue = p_queue and j.fair_tag is not null)
    or exists (select from public.jobs j where j.queue = p_queue and j.next_run_at <= p_now)
    or exists (select from filaviva.job_groups g where g.queue = p_queue and g.active_job_id is null and g.next_at <= p_now)
  then
    return '{}';
  end if;
  select q.window_size - (select count(*) from filaviva.deliveries(p_queue) d where not d.hidden)
  into v_room
  from public.queues q where q.name = p_queue;
  return array(
    select n.id from unnest(p_jobs) n
    where n.queue = p_queue and n.priority = 0 and n.group_key is null and coalesce(n.scheduled_at, p_now) <= p_now
      and n.ord <> all (coalesce(p_without, '{}'))
    order by n.ord
    limit greatest(v_room, 0)
  );
end
$$;

COMMENT ON FUNCTION filaviva.ready_for_window(p_queue text, p_now timestamp with time zone, p_jobs filaviva.new_job[], p_without integer[]) IS 'Which jobs of a call go straight into pgmq.';

REVOKE ALL ON FUNCTION filaviva.ready_for_window(p_queue text, p_now timestamp with time zone, p_jobs filaviva.new_job[], p_without integer[]) FROM PUBLIC;
