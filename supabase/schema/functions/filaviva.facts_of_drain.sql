CREATE FUNCTION filaviva.facts_of_drain(p_needs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'has_url', filaviva.secret('filaviva_drain_url') is not null,
    'has_token', filaviva.secret('filaviva_drain_token') is not null,
    'waiting', (select count(*) from net.http_request_queue),
    'answers', (
      select coalesce(jsonb_agg(to_jsonb(a)), '[]')
      from (
        select r.status_code, left(r.error_msg, 200) as error, coalesce(r.timed_out, false) as timed_out, count(*) as count, max(r.created) as last_at
        from net._http_response r where r.created > clock_timestamp() - interval '1 hour'
        group by 1, 2, 3 order by max(r.created) desc limit 10
      ) a
    )
  )
$$;

COMMENT ON FUNCTION filaviva.facts_of_drain(p_needs jsonb) IS 'Whether the vault names the drain, how many requests wait in pg_net, and what those of the last hour met.';

REVOKE ALL ON FUNCTION filaviva.facts_of_drain(p_needs jsonb) FROM PUBLIC;
