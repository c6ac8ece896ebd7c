"""One attempt at one claimed job: run its handler under its timeout, and say how it ended.

An attempt is also the lease that the handler's context speaks to, since only it knows whether the job is past its
point of no return.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal

import httpx
import structlog
from pydantic import BaseModel, ValidationError

from functions.jobs import registry
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


class _CutOff(Exception):  # noqa: N818
    """The handler did not come to an end by itself."""

    def __init__(self, reason: CutReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Attempt:
    """Runs one claimed job once.

    Args:
        job: what was claimed.
        ledger: where commit and credentials go.
        http: the client that handlers use for other companies' APIs.
        settings: handed to the handler.
        log: already bound to the job.
        on_progress: called when there is progress to write.
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
    ) -> None:
        loop = asyncio.get_running_loop()
        self.job = job
        self.cancelled = asyncio.Event()
        self.renewed_at = loop.time()
        """When the lease last began, on the loop's clock."""
        self.lease_seconds = job.lease_seconds
        self._ledger = ledger
        self._http = http
        self._settings = settings
        self._log = log
        self._on_progress = on_progress
        self._committed = job.committed
        self._committed_now = False
        self._over = False
        self._cut: asyncio.Future[CutReason] = loop.create_future()
        self._progress: tuple[float, str | None] | None = None

    async def run(self) -> Ended | None:
        """The end of the attempt; None when another claim has the job, so that nothing is to be settled."""
        started = asyncio.get_running_loop().time()
        try:
            outcome = await self._outcome()
        finally:
            self._over = True
        if outcome is None:
            return None
        seconds = asyncio.get_running_loop().time() - started
        return ended(self.job, outcome, committed=self._committed, seconds=seconds)

    def cut_off(self, reason: CutReason) -> None:
        """Stop the handler: its lease is `lost`, or the process has to leave (`stopped`)."""
        if not self._cut.done():
            self._cut.set_result(reason)

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
            return self._checked(await self._perform(function(self.job, payload, self._context(reconcilable))))
        except CommitRefused as refused:
            return self._after_refusal(refused)
        except _CutOff as cut:
            return self._after_cut(cut.reason)
        except JobError as error:
            return self._after_error(error)
        except LedgerUnavailable:
            return self._after_error(JobError("database_unavailable", "The database did not answer the handler."))
        except Exception as problem:
            self._log.exception("the handler raised")
            return self._after_error(JobError("handler_error", f"The handler raised {type(problem).__name__}."))

    async def _perform(self, work: Awaitable[Outcome]) -> Outcome:
        handler = asyncio.create_task(_contained(work))
        ends: set[asyncio.Future[Any]] = {handler, self._cut}
        try:
            await asyncio.wait(ends, timeout=self.job.timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not handler.done():
                handler.cancel()
                await asyncio.wait({handler}, timeout=STOPPING_SECONDS)
                if not handler.done():
                    self._log.error("the handler does not stop; it is left behind")
                if not handler.done() or handler.cancelled():
                    raise _CutOff(self._cut.result() if self._cut.done() else "timeout")
        finally:
            handler.cancel()
        return handler.result()  # also of one that was asked to stop and finished its work instead

    def _context(self, reconcilable: bool) -> Context:
        return Context(
            http=self._http,
            settings=self._settings,
            log=self._log,
            deadline=asyncio.get_running_loop().time() + self.job.timeout_seconds,
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


async def _contained(work: Awaitable[Outcome]) -> Outcome:
    """Keep a handler's `sys.exit()` from ending the process, and its own cancellation from looking like ours."""
    try:
        return await work
    except SystemExit as problem:
        raise RuntimeError("the handler called sys.exit()") from problem
    except asyncio.CancelledError as problem:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("the handler let a cancellation of its own escape") from problem


def _explain(problem: ValidationError) -> str:
    findings = problem.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, found['loc'])) or 'payload'}: {found['msg']}" for found in findings[:5])
