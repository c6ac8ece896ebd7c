"""One attempt at one claimed job: run its handler under its timeout, and say how it ended.

An attempt is also the lease that the handler's context speaks to, since only it knows whether the job is past its
point of no return. It costs one task: a job that does little should cost little.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import httpx
import structlog
from pydantic import BaseModel, ValidationError

from functions.jobs import registry
from functions.jobs.accounts import AccountKeeper
from functions.jobs.context import ClaimedJob, CommitRefused, Context
from functions.jobs.outcomes import (
    Cancelled,
    JobError,
    JsonObject,
    Outcome,
    Reject,
    Release,
    Retry,
    Snooze,
    Unconfirmed,
)
from functions.settings import Settings
from functions.worker.ledger import Ledger, LedgerRefused, LedgerUnavailable, Renewal
from functions.worker.settlement import Ended, ended, fault
from functions.worker.storable import clean_text, storable

COMMIT_EXTENDS_SECONDS = 30
RECONCILE_AGAIN = timedelta(seconds=30)
STOPPING_SECONDS = 2.0
"""How long a handler that was cancelled may take to clean up before it is left behind."""

CutReason = Literal["timeout", "lost", "stopped"]


class Attempt:
    """Runs one claimed job once; `begin` it, and it says itself how it ended.

    Args:
        job: what was claimed.
        ledger: where commit and credentials go.
        http: the client that handlers use for other companies' APIs.
        settings: handed to the handler.
        log: already bound to the job.
        on_progress: called when there is progress to write.
        on_end: called with the attempt and its end; with None when another claim has the job, so that nothing is
            to be settled.
    """

    def __init__(
        self,
        job: ClaimedJob,
        ledger: Ledger,
        *,
        http: httpx.AsyncClient,
        settings: Settings,
        log: structlog.stdlib.BoundLogger,
        on_progress: Callable[[], None],
        on_end: Callable[["Attempt", Ended | None], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.job = job
        self.cancelled = asyncio.Event()
        self.renewed_at = self._loop.time()
        """When the lease last began, on the loop's clock."""
        self._began_at = self.renewed_at
        self.lease_seconds = job.lease_seconds
        self._ledger = ledger
        self._http = http
        self._settings = settings
        self._log = log
        self._on_progress = on_progress
        self._on_end = on_end
        self._committed = job.committed
        self._committed_now = False
        self._over = False
        self._cut: CutReason | None = None
        self._task: asyncio.Task[Outcome | None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._progress: tuple[float, str | None] | None = None

    def begin(self) -> None:
        """Run the handler; `on_end` is called when that is over."""
        self._task = asyncio.create_task(self._outcome())
        self._task.add_done_callback(self._done)
        self._alarm = self._loop.call_at(self._began_at + self.job.timeout_seconds, self.cut_off, "timeout")

    def cut_off(self, reason: CutReason) -> None:
        """Stop the handler: its time is up, its lease is `lost`, or the process has to leave (`stopped`)."""
        if self._cut is not None or self._task is None or self._over:
            return
        self._cut = reason
        self._task.cancel()
        self._set_alarm(STOPPING_SECONDS, self._leave_behind)

    def renewal(self) -> Renewal:
        """The request for more time, with the progress that was not written yet."""
        percent, note = self._progress or (None, None)
        self._progress = None
        return Renewal(self.job.job_id, self.job.claim_id, percent, note)

    @property
    def has_progress(self) -> bool:
        """Whether there is progress that was not written yet."""
        return self._progress is not None

    # What a context may ask of its lease --------------------------------------------------------

    async def commit(self, checkpoint: JsonObject, *, reconcilable: bool) -> None:
        """Record the point of no return; see `Context.commit`."""
        if self._over:
            raise CommitRefused("stale_claim", "This attempt is over.")
        try:
            await self._ledger.commit(
                self.job.job_id,
                self.job.claim_id,
                storable(checkpoint, "checkpoint"),
                reconcilable=reconcilable,
                extend_seconds=COMMIT_EXTENDS_SECONDS,
            )
        except LedgerRefused as refused:
            raise CommitRefused(refused.code, refused.message) from refused
        self._committed = self._committed_now = True

    def note_progress(self, percent: float, note: str | None) -> None:
        """Keep progress for the next renewal, and ask for one soon."""
        bounded = 0.0 if math.isnan(percent) else min(max(float(percent), 0.0), 100.0)
        self._progress = (bounded, None if note is None else clean_text(note, 500))
        self._on_progress()

    async def credentials(self, platform: str) -> JsonObject | None:
        """The owner's account on `platform` with its secrets; None without owner or account."""
        if self.job.user_id is None:
            return None
        return await self._ledger.credentials(self.job.user_id, platform)

    @property
    def accounts(self) -> AccountKeeper:
        """Where the tokens of accounts are renewed."""
        return self._ledger

    # Running ------------------------------------------------------------------------------------

    async def _outcome(self) -> Outcome | None:
        registration = registry.find(self.job.kind)
        if registration is None:
            error = JobError("unknown_kind", f"No handler is deployed for the kind {self.job.kind!r}.")
            return fault(error, committed=self._committed)
        try:
            payload = registration.payload.model_validate(self.job.payload)
        except ValidationError as problem:
            return fault(JobError("invalid_payload", _explain(problem)), committed=self._committed)
        function = registration.run if self.job.mode == "run" else registration.reconcile
        if function is None:
            return Unconfirmed(JobError("no_reconcile", f"The kind {self.job.kind!r} has no reconcile function."))
        return await self._judge(function, payload, reconcilable=registration.reconcile is not None)

    async def _judge(
        self, function: registry.HandlerFunction, payload: BaseModel, *, reconcilable: bool
    ) -> Outcome | None:
        try:
            return self._checked(await function(self.job, payload, self._context(reconcilable)))
        except CommitRefused as refused:
            return self._after_refusal(refused)
        except JobError as error:
            return self._after_error(error)
        except LedgerUnavailable:
            return self._after_error(JobError("database_unavailable", "The database did not answer the handler."))
        except asyncio.CancelledError as problem:
            if self._task is not None and self._task.cancelling():
                raise
            return self._after_exception(problem)  # a cancellation of the handler's own that got out
        except (Exception, SystemExit) as problem:
            return self._after_exception(problem)

    def _done(self, task: asyncio.Task[Outcome | None]) -> None:
        if self._over:
            if not task.cancelled():
                task.exception()  # looked at: it was left behind, and what became of it matters no more
            return
        if task.cancelled():
            cut_itself = asyncio.CancelledError("the handler cancelled its own task")
            self._end(self._after_cut(self._cut) if self._cut else self._after_exception(cut_itself))
        elif (problem := task.exception()) is not None:
            self._end(self._after_exception(problem))  # such as a payload model that raises what is no validation error
        else:
            self._end(task.result())  # also of one that was asked to stop and finished its work instead

    def _leave_behind(self) -> None:
        self._log.error("the handler does not stop; it is left behind")
        self._end(self._after_cut(self._cut or "stopped"))

    def _end(self, outcome: Outcome | None) -> None:
        self._over = True
        if self._alarm is not None:
            self._alarm.cancel()
        seconds = self._loop.time() - self._began_at
        end = None if outcome is None else ended(self.job, outcome, committed=self._committed, seconds=seconds)
        self._on_end(self, end)

    def _set_alarm(self, seconds: float, action: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(seconds, action)

    def _context(self, reconcilable: bool) -> Context:
        return Context(
            http=self._http,
            settings=self._settings,
            log=self._log,
            deadline=self._began_at + self.job.timeout_seconds,
            lease=self,
            reconcilable=reconcilable,
            cancelled=self.cancelled,
        )

    def _checked(self, outcome: object) -> Outcome:
        if not isinstance(outcome, Outcome):
            return self._after_error(
                JobError("handler_error", f"The handler returned {type(outcome).__name__}, which is no outcome.")
            )
        if isinstance(outcome, Release) and self._committed_now:
            return Unconfirmed(JobError("released_after_commit", "The handler gave the job back after its commit."))
        return outcome

    # How an attempt ends that did not return an outcome --------------------------------------------

    def _after_error(self, error: JobError) -> Outcome:
        if self.job.mode == "reconcile":
            return Snooze(RECONCILE_AGAIN)
        return Unconfirmed(error) if self._committed else Retry(error)

    def _after_exception(self, problem: BaseException) -> Outcome:
        self._log.error("the handler raised", exc_info=problem)
        return self._after_error(JobError("handler_error", f"The handler raised {type(problem).__name__}."))

    def _after_cut(self, reason: CutReason) -> Outcome | None:
        match reason:
            case "lost":
                return None
            case "stopped" if not self._committed_now:
                return Release()
            case "stopped":
                return Unconfirmed(JobError("cut_off", "The worker had to leave after the point of no return."))
            case "timeout":
                seconds = f"{self.job.timeout_seconds:g}"
                return self._after_error(JobError("timeout", f"The handler did not end within {seconds} seconds."))

    def _after_refusal(self, refused: CommitRefused) -> Outcome | None:
        match refused.code:
            case "stale_claim":
                return None
            case "cancel_requested":
                return Cancelled()
            case "expired":
                return Reject(JobError("expired", str(refused)))
            case _:
                return self._after_error(JobError(refused.code, str(refused)))


def _explain(problem: ValidationError) -> str:
    findings = problem.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, found['loc'])) or 'payload'}: {found['msg']}" for found in findings[:5])
