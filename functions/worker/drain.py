"""The drain of one queue: claim, run up to N jobs at a time, settle, until nothing is due or the time is up."""

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import structlog

from functions.jobs.context import ClaimedJob
from functions.jobs.outcomes import Release
from functions.settings import Settings
from functions.worker.attempt import Attempt
from functions.worker.ledger import Claimed, Ledger, LedgerRefused, LedgerUnavailable
from functions.worker.renewals import Renewals
from functions.worker.settlement import Ended, ended, is_about_data, settle
from functions.worker.summary import Summary

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5
PAUSE_GROWTH = 1.5
COALESCE_SECONDS = 0.02
"""How long a job that has ended waits for others to end, so that they are settled in one call."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every drain of a process shares."""

    ledger: Ledger
    http: httpx.AsyncClient
    settings: Settings
    log: structlog.stdlib.BoundLogger
    stopping: asyncio.Event


class Drain:
    """Empties one queue. Make one, `run` it once, read its `summary`.

    Args:
        queue: the queue to empty.
        worker_id: who claims, for the log and the operator's eyes.
        surroundings: what the process shares.
        summary: where the numbers go.
        claims: False for a drain that runs only what `start` gives it.
    """

    def __init__(
        self, queue: str, worker_id: str, surroundings: Surroundings, summary: Summary, *, claims: bool = True
    ) -> None:
        self.queue = queue
        self.summary = summary
        self.left_work = False
        """Whether it left for lack of time, so that jobs may still be due."""
        self._worker_id = worker_id
        self._with = surroundings
        self._log = surroundings.log.bind(queue=queue, worker_id=worker_id)
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._renewals = Renewals(surroundings.ledger, self._log)
        self._running: dict[asyncio.Task[Ended | None], Attempt] = {}
        self._ended: list[Ended] = []
        self._wake = asyncio.Event()
        self._leaving = not claims
        self._trouble: Exception | None = None
        now = self._clock()
        self._deadline = now + surroundings.settings.drain_budget_seconds
        self._cut_at: float | None = None
        self._claim_at = now
        self._pause = FIRST_PAUSE_SECONDS
        self._busy_at = now
        """When there was last something to do."""

    @property
    def accepts(self) -> bool:
        """Whether it still claims, so that nobody else need start for the same queue."""
        return not self._leaving

    def nudge(self) -> None:
        """Look for work at once: somebody says that there is some."""
        self._claim_at = self._busy_at = self._clock()
        self._wake.set()

    def start(self, job: ClaimedJob) -> None:
        """Run a job that was claimed."""
        log = self._log.bind(
            job_id=str(job.job_id), correlation_id=job.correlation_id, attempt=job.attempt, kind=job.kind
        )
        attempt = Attempt(
            job,
            self._with.ledger,
            http=self._with.http,
            settings=self._with.settings,
            log=log,
            on_progress=self._renewals.soon,
        )
        task = asyncio.create_task(attempt.run())
        task.add_done_callback(lambda _: self._wake.set())
        self._running[task] = attempt
        self._renewals.add(attempt)
        self.summary.claimed += 1

    async def run(self) -> None:
        """Claim, run and settle until there is nothing left to do, or no time.

        Raises:
            LedgerUnavailable: the database could not be reached; what ran was still given its end where possible.
            LedgerRefused: the database does not know the queue, or does not accept our key.
        """
        stop = asyncio.create_task(self._stop_when_told())
        try:
            async with self._renewals:
                while True:
                    await self._step()
                    if self._leaving and not (self._running or self._ended):
                        break
                    if not self._ended or self._trouble:
                        await self._wait()
        finally:
            self._leaving = True
            stop.cancel()
        if self._trouble is not None:
            raise self._trouble

    async def _stop_when_told(self) -> None:
        await self._with.stopping.wait()
        self._leave(work_left=True)
        self._cut_at = self._clock() + self._with.settings.shutdown_grace_seconds
        self._wake.set()

    def _leave(self, *, work_left: bool = False) -> None:
        if not self._leaving:
            self._leaving = True
            self.left_work = work_left

    # One step: settle what has ended, and claim when it is time ------------------------------------

    async def _step(self) -> None:
        now = self._clock()
        if now >= self._deadline:
            self._leave(work_left=True)
        room = 0 if self._leaving else self._with.settings.drain_concurrency - len(self._running)
        batch, self._ended = self._ended, []
        try:
            if batch and room:
                await self._settle_and_claim(batch, room)
            elif batch:
                await self._settle(batch)
            elif room and now >= self._claim_at:
                self._claim_at = math.inf  # only a nudge that comes meanwhile sets an earlier moment
                self._take(await self._with.ledger.claim(self.queue, room, self._worker_id), room)
        except Exception as trouble:  # jobs are running: they must be able to end, whatever it is
            known = isinstance(trouble, (LedgerUnavailable, LedgerRefused))
            self._log.error("the drain broke off", problem=str(trouble), unsettled=len(batch), exc_info=not known)
            self._trouble = trouble
            self._leave()
            if self._running:
                self._ended = batch + self._ended  # sent again when the next one ends

    async def _settle_and_claim(self, batch: list[Ended], room: int) -> None:
        results = [each.settlement for each in batch]
        self._claim_at = math.inf
        try:
            settled, claimed = await self._with.ledger.settle_and_claim(results, self.queue, room, self._worker_id)
        except LedgerRefused as refused:
            if not is_about_data(refused):
                raise
            await self._settle(batch)  # finds the bad element; the next step claims
            self._claim_at = self._clock()
            return
        self.summary.record(zip(batch, settled, strict=True), self._with.log)
        self._take(claimed, room)

    async def _settle(self, batch: list[Ended]) -> None:
        self.summary.record(await settle(self._with.ledger, batch), self._with.log)

    def _take(self, claimed: Claimed, room: int) -> None:
        now = self._clock()
        for job in claimed.jobs:
            if self._leaving:  # told to stop while the claim was under way: hand it back, not started
                self._ended.append(ended(job, Release(), committed=job.committed))
                self.summary.claimed += 1
            else:
                self.start(job)
        if claimed.jobs:
            self._busy_at = now
            self._pause = FIRST_PAUSE_SECONDS
        elif claimed.state in {"enough", "paused"} and not self._running:
            self._leave()  # others have all there is to have, or nobody may
        elif claimed.state != "busy":
            self._pause = min(self._pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)
        self._claim_at = min(self._claim_at, now + self._pause)
        if claimed.next_due_in_ms is not None:
            self._claim_at = min(self._claim_at, now + max(claimed.next_due_in_ms / 1000, FIRST_PAUSE_SECONDS))

    # Waiting ---------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Until a job ends, it is time to claim, or the process has to leave; then collect what has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._next_look()):
                await self._wake.wait()
        self._wake.clear()
        if any(task.done() for task in self._running) and not all(task.done() for task in self._running):
            await asyncio.wait(self._running, timeout=COALESCE_SECONDS)
        self._collect()
        now = self._clock()
        if self._running or self._ended:
            self._busy_at = now
        elif now >= self._busy_at + self._with.settings.drain_linger_seconds:
            self._leave()
        if self._cut_at is not None and now >= self._cut_at:
            for attempt in self._running.values():
                attempt.cut_off("stopped")

    def _next_look(self) -> float | None:
        """When to look again even if nothing happens, on the loop's clock."""
        moments = [] if self._leaving else [self._claim_at, self._deadline]
        if not self._leaving and len(self._running) >= self._with.settings.drain_concurrency:
            moments = [self._deadline]
        if self._cut_at is not None:
            moments.append(self._cut_at)
        return min(moments, default=None)

    def _collect(self) -> None:
        for task in [task for task in self._running if task.done()]:
            attempt = self._running.pop(task)
            self._renewals.remove(attempt)
            problem = task.exception()
            if problem is not None:
                self._log.error("an attempt broke down", job_id=str(attempt.job.job_id), exc_info=problem)
            elif (end := task.result()) is not None:
                self._ended.append(end)
