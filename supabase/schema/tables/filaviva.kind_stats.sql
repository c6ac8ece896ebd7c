CREATE TABLE filaviva.kind_stats (
    kind text NOT NULL,
    runs double precision[] NOT NULL,
    usual_seconds double precision NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE filaviva.kind_stats IS 'How long the last runs of each kind took; written by each drain at its end.';

COMMENT ON COLUMN filaviva.kind_stats.runs IS 'About the last 1,000 runs: element i counts those of at most 2^(i-1) milliseconds.';

COMMENT ON COLUMN filaviva.kind_stats.usual_seconds IS 'At most this long took all but the slowest twentieth (p95), rounded up to a step of runs.';

ALTER TABLE ONLY filaviva.kind_stats
    ADD CONSTRAINT kind_stats_pkey PRIMARY KEY (kind);

ALTER TABLE filaviva.kind_stats ENABLE ROW LEVEL SECURITY;
