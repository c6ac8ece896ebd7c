CREATE FUNCTION filaviva.backoff_seconds(p_attempt integer, p_base numeric, p_factor numeric, p_max numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
  -- The exponent is capped, so that no attempt number can overflow the power.
  select least(p_max, p_base * power(p_factor, least(greatest(p_attempt, 1) - 1, 64)))
$$;

COMMENT ON FUNCTION filaviva.backoff_seconds(p_attempt integer, p_base numeric, p_factor numeric, p_max numeric) IS 'Longest wait after an attempt: base · factor^(attempt − 1), capped. The wait itself is drawn evenly between 0 and this (full jitter).';

REVOKE ALL ON FUNCTION filaviva.backoff_seconds(p_attempt integer, p_base numeric, p_factor numeric, p_max numeric) FROM PUBLIC;
