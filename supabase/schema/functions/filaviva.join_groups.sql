CREATE FUNCTION filaviva.join_groups(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  -- Holds the groups: a settle and this call cannot miss each other.
  insert into filaviva.job_groups (queue, group_key, next_at)
  select distinct n.queue, n.group_key, p_now
  from unnest(p_jobs) n
  where n.group_key is not null and coalesce(n.scheduled_at, p_now) <= p_now and n.ord <> all (p_without)
  order by 1, 2
  on conflict (queue, group_key) do update set next_at = job_groups.next_at;
end
$$;

COMMENT ON FUNCTION filaviva.join_groups(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) IS 'Makes and holds the groups that new jobs join.';

REVOKE ALL ON FUNCTION filaviva.join_groups(p_jobs filaviva.new_job[], p_now timestamp with time zone, p_without integer[]) FROM PUBLIC;
