CREATE TYPE filaviva.settlement AS (
	ord integer,
	job_id uuid,
	claim_id bigint,
	outcome text,
	result jsonb,
	error_code text,
	error_message text,
	error_details jsonb,
	run_at timestamp with time zone,
	after_seconds numeric,
	checkpoint jsonb,
	limiter text
);

COMMENT ON TYPE filaviva.settlement IS 'One element of a settle call, checked.';
