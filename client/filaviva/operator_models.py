"""What operators are shown: queues, their metrics, rate limiters and alerts."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class QueueMetrics(_Shown):
    """How long a queue is and how fast it moves, exact to 10 seconds."""

    queue: str
    paused: bool
    size: int
    """Jobs that wait: `due`, `later` and `blocked` together."""
    due: int
    """May run now."""
    later: int
    """Wait for a time."""
    blocked: int
    """Wait behind their group or for a limit."""
    processing: int
    oldest_seconds: float
    """How long the longest waiting due job has been due; 0 when none is."""
    processing_rate: float
    """Jobs that ended a minute, over the last 5 minutes, however they ended."""
    error_rate: float
    """Percent of those that ended in these 5 minutes as failed or unconfirmed; cancelled ones do not count."""
    queue_trend: int | None = None
    """Growth of `size` over 5 minutes; None while there is no older sample."""
    processing_trend: float
    """Growth of `processing_rate` against the 5 minutes before."""
    error_trend: float
    """Growth of `error_rate` against the 5 minutes before, in percentage points."""


class Queue(_Shown):
    """One queue: its settings, which may be changed while it runs, and its metrics."""

    name: str
    concurrency: int | None = None
    """How many of its jobs may run at once; None: no cap."""
    lease_seconds: int
    stall_seconds: int
    on_stall: Literal["retry", "fail"]
    timeout_seconds: int
    max_attempts: int
    max_snoozes: int
    backoff_base_seconds: float
    backoff_factor: float
    backoff_max_seconds: float
    gap_min_ms: int
    gap_max_ms: int
    window_size: int
    max_drains: int
    retention_completed: str
    """How long completed jobs are kept, as PostgreSQL writes an interval."""
    retention_failed: str
    paused_at: datetime | None = None
    """Since when nothing of it is claimed; None: it runs."""
    metrics: QueueMetrics


class LimitedQueue(_Shown):
    """A queue that is under a rate limit."""

    queue: str
    key: str
    """Where in a job the key stands: ``user_id``, ``instance_id``, ``payload.platform`` …"""


class RateLimiter(_Shown):
    """At most `max_hits` in any `window_seconds` for one key."""

    name: str
    max_hits: int
    window_seconds: int
    queues: list[LimitedQueue] = []


class Alert(_Shown):
    """Something that operators should know: open for as long as its rule fires."""

    id: int
    rule: str
    kind: str
    """What the rule looks at: failed_jobs, oldest_due, no_drain …"""
    queue: str | None = None
    message: str
    details: dict[str, Any] = {}
    opened_at: datetime
    resolved_at: datetime | None = None
