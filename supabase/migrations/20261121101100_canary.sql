-- The canary: a job that does nothing, to see that the whole road is open and how fast it is.

select filaviva.create_queue('canary', '{"max_attempts": 1, "timeout_seconds": 10, "retention_completed": "1 day"}');
select filaviva.register_kind('canary', '{"queue": "canary", "user_may_enqueue": true}');
