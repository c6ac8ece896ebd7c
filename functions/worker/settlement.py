"""From the outcome of an attempt to the element that settles it, and sending many of them safely."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from functions.jobs.context import ClaimedJob
from functions.jobs.outcomes import (
    Cancelled,
    Done,
    Hold,
    JobError,
    JsonObject,
    Outcome,
    Reject,
    Release,
    Retry,
    Snooze,
    Unconfirmed,
)
from functions.worker.ledger import Ledger, LedgerRefused, Settled, Settlement
from functions.worker.storable import NotStorable, clean_text, storable

LONGEST_DELAY_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that is over and waits to be settled; make one with `ended`.

    Args:
        job: what was claimed.
        settlement: the element for `settle_jobs`.
        committed: whether the job is past its point of no return.
        seconds: how long the attempt took.
    """

    job: ClaimedJob
    settlement: Settlement
    committed: bool
    seconds: float

    def as_invalid(self, problem: str) -> "Ended":
        """The same end after the database refused it as data."""
        error = JobError("invalid_result", f"The database could not store how this attempt ended: {problem}")
        return ended(self.job, fault(error, committed=self.committed), committed=self.committed, seconds=self.seconds)


def ended(job: ClaimedJob, outcome: Outcome, *, committed: bool, seconds: float = 0.0) -> Ended:
    """An attempt that ended with `outcome`; what cannot be stored becomes a fault of the handler."""
    try:
        words = _words(outcome)
    except NotStorable as problem:
        words = _words(fault(JobError(problem.code, problem.message), committed=committed))
    except Exception as problem:  # whatever a handler puts into its outcome, its neighbours must be settled
        error = JobError("invalid_result", f"The handler's outcome cannot be read: {type(problem).__name__}.")
        words = _words(fault(error, committed=committed))
    return Ended(job, {"job_id": job.job_id, "claim_id": job.claim_id, **words}, committed, seconds)


def fault(error: JobError, *, committed: bool) -> Outcome:
    """What can never succeed: a Reject, or past the point of no return the honest `Unconfirmed`."""
    return Unconfirmed(error) if committed else Reject(error)


async def settle(ledger: Ledger, batch: Sequence[Ended]) -> list[tuple[Ended, Settled]]:
    """Settle `batch`; tells for each end, in order, what became of it.

    When the database refuses the batch as data, it is halved until the bad element stands alone, which then is
    settled as invalid: no job keeps its neighbours from being settled.

    Raises:
        LedgerUnavailable: nothing, or not everything, could be settled.
        LedgerRefused: it is not the data that is wrong.
    """
    try:
        answers = await ledger.settle([each.settlement for each in batch])
        return list(zip(batch, answers, strict=True))
    except LedgerRefused as refused:
        if not is_about_data(refused):
            raise
        if len(batch) == 1:
            invalid = batch[0].as_invalid(refused.message)
            return [(invalid, (await ledger.settle([invalid.settlement]))[0])]
    middle = len(batch) // 2
    return await settle(ledger, batch[:middle]) + await settle(ledger, batch[middle:])


def is_about_data(refused: LedgerRefused) -> bool:
    """Whether the refusal may be due to what was sent, rather than to who sent it or where."""
    return refused.status not in {401, 403, 404}


def _words(outcome: Outcome) -> dict[str, Any]:  # noqa: PLR0911 - one line an outcome
    match outcome:
        case Done(result):
            return {"outcome": "done", "result": storable(result)}
        case Retry(error, after):
            return {"outcome": "retry", "error": _error(error), **_after(after)}
        case Snooze(until, checkpoint, limiter):
            return {"outcome": "snooze", **_until(until), **_kept(checkpoint, limiter)}
        case Hold(error, after, limiter, checkpoint):
            return {"outcome": "hold", "error": _error(error), **_after(after), **_kept(checkpoint, limiter)}
        case Release():
            return {"outcome": "release"}
        case Reject(error):
            return {"outcome": "reject", "error": _error(error)}
        case Unconfirmed(error):
            return {"outcome": "unconfirmed", "error": _error(error)}
        case Cancelled():
            return {"outcome": "cancelled"}
        case _:
            assert_never(outcome)


def _error(error: JobError) -> dict[str, Any]:
    try:
        details = storable(error.details, "details")
    except NotStorable as problem:
        details = {"dropped": problem.message}
    return {"code": clean_text(str(error.code), 100), "message": clean_text(str(error.message)), "details": details}


def _kept(checkpoint: JsonObject | None, limiter: str | None) -> dict[str, Any]:
    kept = {} if checkpoint is None else {"checkpoint": storable(checkpoint, "checkpoint")}
    return kept if limiter is None else kept | {"limiter": limiter}


def _after(seconds: float | None) -> dict[str, float]:
    if seconds is None or math.isnan(seconds):
        return {}
    return {"after_seconds": min(max(0.0, seconds), LONGEST_DELAY_SECONDS)}


def _until(until: datetime | timedelta) -> dict[str, Any]:
    if isinstance(until, timedelta):
        return _after(until.total_seconds())
    return {"until": until if until.tzinfo else until.replace(tzinfo=UTC)}
