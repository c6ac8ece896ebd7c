CREATE TYPE filaviva.window_edges AS (
	size bigint,
	owner uuid,
	first_turn bigint,
	last_turn bigint
);

COMMENT ON TYPE filaviva.window_edges IS 'What stands ready in pgmq: an upper bound of how many, whose they are (all are of one owner), and the turns of the first and the last.';
