"""The ways an attempt can end. A handler returns one; the drain settles the job with it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

JsonObject = dict[str, Any]


class JobError(Exception):
    """Why an attempt did not succeed, in words the owner of the job may read.

    Args:
        code: machine code, lower case with underscores, such as ``account_missing``.
        message: one sentence for people; it must hold no secret.
        details: further facts as JSON, for diagnosis.
    """

    def __init__(self, code: str, message: str, details: JsonObject | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}

    def to_json(self) -> JsonObject:
        """The error as `settle_jobs` takes it."""
        return {"code": self.code, "message": self.message, "details": self.details}


@dataclass(frozen=True, slots=True)
class Done:
    """The work is finished; `result` is stored with the job (at most 64 KB as JSON)."""

    result: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not happen; try again. Spends the attempt.

    After `ctx.commit` this is the handler's word that the irreversible call had no effect, and
    clears the mark. `after` is a delay in seconds (a provider's Retry-After); None means the
    queue's backoff.
    """

    error: JobError
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Look again later, for instance at a provider that is still processing. Spends no attempt.

    `until` is a moment, or a delay counted by the database's clock. `checkpoint` is handed to the
    next run as `job.checkpoint`; None keeps the one that is stored. `limiter` names a rate limit of
    the queue: until then nothing else is begun under the job's key of it.
    """

    until: datetime | timedelta
    checkpoint: JsonObject | None = None
    limiter: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The other side takes it no sooner than in `after` seconds: it did not happen. Spends no attempt.

    After `ctx.commit` this is the handler's word that the irreversible call had no effect, and clears
    the mark, as a `Retry` does. `limiter` and `checkpoint` are as in `Snooze`; with a limiter the job
    waits under its key together with the others, and the first of them tries alone.
    """

    error: JobError
    after: float
    limiter: str | None = None
    checkpoint: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing was started; hand the job back as if it had not been claimed."""


@dataclass(frozen=True, slots=True)
class Reject:
    """It can never succeed as it is; fail now, without further attempts."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The irreversible call may or may not have had its effect, and nobody here can tell."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The handler saw the owner's wish to cancel and stopped before any effect."""


Outcome = Done | Retry | Snooze | Hold | Release | Reject | Unconfirmed | Cancelled
