CREATE FUNCTION filaviva.facts_of_accounts(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select coalesce(jsonb_agg(to_jsonb(a)), '[]')
  from (
    select s.platform, s.status, s.reconnect_reason as reason, count(*) as count
    from public.social_accounts s group by 1, 2, 3 order by 1, 2, 3
  ) a
$$;

COMMENT ON FUNCTION filaviva.facts_of_accounts(p_needs jsonb) IS 'How many connected accounts of each platform there are, and how many must be connected again, for which reason.';

REVOKE ALL ON FUNCTION filaviva.facts_of_accounts(p_needs jsonb) FROM PUBLIC;
