"""What a drain did, in numbers, and the log line that each settled job leaves."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import structlog

from functions.worker.ledger import Settled
from functions.worker.run_times import RunTimes
from functions.worker.settlement import Ended

LOG_PREFIXES = {"publish_post": "[Process Publication API] "}
"""What the log lines of a kind begin with, for those who search their logs for it."""


@dataclass(slots=True)
class Summary:
    """The answer of a drain."""

    claimed: int = 0
    completed: int = 0
    retried: int = 0
    """Will run again after an error, or be reconciled."""
    snoozed: int = 0
    failed: int = 0
    unconfirmed: int = 0
    released: int = 0
    """Handed back without having been started, or cut off before any effect when the process had to leave."""
    remaining: int = 0
    """Jobs that were due in the queues it left for lack of time; counted up to a bound."""
    duration_ms: int = 0
    chained: bool = False
    """Whether another drain was called for what remains."""
    _started: float = field(default_factory=time.monotonic, repr=False)
    _run_times: RunTimes = field(default_factory=RunTimes, repr=False)

    def record(self, settled: Iterable[tuple[Ended, Settled]], log: structlog.stdlib.BoundLogger) -> None:
        """Count and log what became of each end."""
        for ended, answer in settled:
            outcome = ended.settlement["outcome"]
            if answer.applied in {"ok", "already"}:
                self._count(outcome, answer.status)
            if outcome != "release":
                self._run_times.note(ended.job.kind, ended.seconds)
            _log(ended, answer, log)

    def to_json(self) -> dict[str, int | bool]:
        """The numbers, with the time since the drain began."""
        self.duration_ms = round((time.monotonic() - self._started) * 1000)
        return {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("_")}

    def take_run_times(self) -> dict[str, list[int]]:
        """How long the jobs of each kind took, since this was last asked."""
        return self._run_times.take()

    def _count(self, outcome: str, status: str | None) -> None:
        match status, outcome:
            case "completed", _:
                self.completed += 1
            case "failed", _:
                self.failed += 1
            case "unconfirmed", _:
                self.unconfirmed += 1
            case "cancelled", _:
                pass
            case _, "release":
                self.released += 1
            case _, "snooze" | "hold":
                self.snoozed += 1
            case _:
                self.retried += 1


def _log(ended: Ended, answer: Settled, log: structlog.stdlib.BoundLogger) -> None:
    job, outcome, error = ended.job, ended.settlement["outcome"], ended.settlement.get("error")
    prefix = LOG_PREFIXES.get(job.kind, "")
    facts: dict[str, object] = {
        "job_id": str(job.job_id),
        "correlation_id": job.correlation_id,
        "attempt": job.attempt,
        "kind": job.kind,
        "queue": job.queue,
        "status": answer.status,
        "duration_ms": round(ended.seconds * 1000),
    }
    if answer.applied in {"stale", "gone"}:
        log.warning(f"{prefix}Job was taken by another claim", applied=answer.applied, **facts)
    elif outcome == "hold" and error is not None and answer.status == "retrying":
        log.info(f"{prefix}Job waits", error_code=error["code"], error_message=error["message"], **facts)
    elif error is not None:
        log.error(f"{prefix}Job failed", error_code=error["code"], error_message=error["message"], **facts)
    elif answer.status == "completed":
        log.info(f"{prefix}Job completed successfully", **facts)
    else:
        log.info(f"{prefix}Job settled", outcome=outcome, **facts)
