CREATE TYPE filaviva.finding AS (
	queue text,
	message text,
	details jsonb
);

COMMENT ON TYPE filaviva.finding IS 'One reason to fire that the check of a rule found.';
