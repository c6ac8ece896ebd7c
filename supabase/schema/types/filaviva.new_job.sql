CREATE TYPE filaviva.new_job AS (
	ord integer,
	id uuid,
	seq bigint,
	queue text,
	kind text,
	user_id uuid,
	company_id uuid,
	instance_id text,
	payload jsonb,
	metadata jsonb,
	priority integer,
	group_key text,
	idempotency_key text,
	body_hash bytea,
	correlation_id text,
	scheduled_at timestamp with time zone,
	max_attempts integer,
	timeout_seconds integer,
	expires_at timestamp with time zone
);

COMMENT ON TYPE filaviva.new_job IS 'A checked element of an enqueue call, with its kind''s numbers filled in.';
