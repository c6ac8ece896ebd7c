CREATE UNLOGGED TABLE filaviva.kick_marks (
    id bigint NOT NULL,
    queue text NOT NULL
);

COMMENT ON TABLE filaviva.kick_marks IS 'One row a queue and enqueue call, gone again at its commit: it only carries the deferred trigger.';

ALTER TABLE ONLY filaviva.kick_marks
    ADD CONSTRAINT kick_marks_pkey PRIMARY KEY (id);

CREATE CONSTRAINT TRIGGER kick_at_commit AFTER INSERT ON filaviva.kick_marks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION filaviva.kick_at_commit();

ALTER TABLE filaviva.kick_marks ENABLE ROW LEVEL SECURITY;
