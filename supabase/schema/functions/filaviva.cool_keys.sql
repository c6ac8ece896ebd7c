CREATE FUNCTION filaviva.cool_keys(p_limiters text[], p_keys text[], p_untils timestamp with time zone[], p_reasons text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  insert into filaviva.cool_downs (limiter, key, until, reason)
  select distinct on (c.limiter, c.key) c.limiter, c.key, c.until, left(coalesce(c.reason, ''), 500)
  from unnest(p_limiters, p_keys, p_untils, p_reasons) as c(limiter, key, until, reason)
  order by c.limiter, c.key, c.until desc
  on conflict (limiter, key) do update set until = excluded.until, reason = excluded.reason where cool_downs.until < excluded.until;
end
$$;

COMMENT ON FUNCTION filaviva.cool_keys(p_limiters text[], p_keys text[], p_untils timestamp with time zone[], p_reasons text[]) IS 'Lets locked keys cool down; of two times for one key the later counts.';

REVOKE ALL ON FUNCTION filaviva.cool_keys(p_limiters text[], p_keys text[], p_untils timestamp with time zone[], p_reasons text[]) FROM PUBLIC;
