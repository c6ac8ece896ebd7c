CREATE TABLE filaviva.kicks (
    queue text NOT NULL,
    posted_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
);

COMMENT ON TABLE filaviva.kicks IS 'When each queue''s drain was last woken, so that a burst of enqueues wakes it once a second.';

ALTER TABLE ONLY filaviva.kicks
    ADD CONSTRAINT kicks_pkey PRIMARY KEY (queue);

ALTER TABLE ONLY filaviva.kicks
    ADD CONSTRAINT kicks_queue_fkey FOREIGN KEY (queue) REFERENCES public.queues(name);

ALTER TABLE filaviva.kicks ENABLE ROW LEVEL SECURITY;
