CREATE TYPE filaviva.decision AS (
	ord integer,
	job_id uuid,
	applied text,
	outcome text,
	status text,
	mode text,
	attempt integer,
	snoozes integer,
	run_at timestamp with time zone,
	keeps_commit boolean,
	error_code text,
	error_message text,
	error_details jsonb,
	result jsonb,
	checkpoint jsonb,
	queue text,
	group_key text,
	msg_id bigint,
	limiter text,
	limit_key text
);

COMMENT ON TYPE filaviva.decision IS 'What one element does to its job; applied is ok, already, stale or gone.';
