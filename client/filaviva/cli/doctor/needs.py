"""What the library and the worker rely on in a project; held against the migrations by a test."""

LIVE_TABLES = frozenset({"alerts", "jobs", "social_accounts"})
"""Tables whose changes Realtime must stream."""

TABLES = LIVE_TABLES | {
    "alert_rules",
    "companies",
    "company_members",
    "job_attempts",
    "kinds",
    "queue_limits",
    "queues",
    "rate_limiters",
}
"""Every table of the engine's in schema public."""

FUNCTIONS = frozenset({
    "announce_worker", "cancel_jobs", "claim_job", "claim_jobs", "commit_job", "count_due_jobs", "diagnose",
    "disconnect_account", "dismiss_worker", "due_queues", "enqueue_jobs", "extend_leases", "kick_queue",
    "my_rate_limits", "pause_queue", "probe_answer", "probe_drain", "prune_jobs", "purge_queue", "queue_metrics",
    "queue_stats",
    "rate_limit_status", "record_runs", "redrive_jobs", "resolve_job", "resume_queue", "settle_and_claim",
    "settle_jobs", "tick", "usual_run_seconds", "why_waiting",
})  # fmt: skip
"""Every function that the library or the worker calls."""

NEEDS = {"tables": sorted(TABLES), "functions": sorted(FUNCTIONS)}
"""What the database's function `diagnose` is asked about."""
