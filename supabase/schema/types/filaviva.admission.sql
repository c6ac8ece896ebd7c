CREATE TYPE filaviva.admission AS (
	admitted uuid[],
	refused uuid[],
	limiters text[],
	keys text[],
	skipped uuid[]
);

COMMENT ON TYPE filaviva.admission IS 'Which of some jobs may run under their limits; for a refused one the limit and key that refuse it; skipped ones were not needed, or have a key that another claim is counting.';
