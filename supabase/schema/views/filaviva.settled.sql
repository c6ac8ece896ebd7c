CREATE VIEW filaviva.settled WITH (security_invoker='true') AS
 SELECT c.queue,
    c.at,
    c.completed,
    c.failed,
    c.cancelled,
    c.unconfirmed,
    c.again
   FROM filaviva.settle_counts c
UNION ALL
 SELECT s.queue,
    s.at,
    s.completed,
    s.failed,
    s.cancelled,
    s.unconfirmed,
    s.again
   FROM filaviva.queue_samples s;

COMMENT ON VIEW filaviva.settled IS 'All counts of ended claims of the last day: the newest as they were settled, older ones in buckets of ten seconds.';
