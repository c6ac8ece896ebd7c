"""What the demo measured and what it found to be true."""

import statistics
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Figures:
    """Filled in as the story goes; written to build/demo.json."""

    began: float
    """Moment of the monotonic clock at which the demo was started, in seconds."""
    first_completed_seconds: float | None = None
    start_ms: list[float] = field(default_factory=list)
    """From a job's row to its handler's first line, one value a job."""
    live_ms: list[float] = field(default_factory=list)
    """From a job's row to its first event at the client, one value a job."""
    checks: dict[str, bool] = field(default_factory=dict)

    def note_completed(self) -> None:
        """Remember when the first job completed."""
        if self.first_completed_seconds is None:
            self.first_completed_seconds = time.monotonic() - self.began

    @property
    def all_true(self) -> bool:
        """Whether every check came true; False when none was made."""
        return bool(self.checks) and all(self.checks.values())

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON; times in milliseconds unless named otherwise."""
        return {
            "ok": self.all_true,
            "checks": self.checks,
            "first_completed_seconds": self.first_completed_seconds,
            "enqueue_to_handler_start_ms": spread(self.start_ms),
            "enqueue_to_live_event_ms": spread(self.live_ms),
        }


def spread(values: list[float]) -> dict[str, float | int]:
    """Count, median, 95th percentile and largest of some measurements."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
    }
