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
from functions.worker.looks import Looks
from functions.worker.pace import Pace
from functions.worker.renewals import Renewals
from functions.worker.settlement import Ended, ended, is_about_data, settle
from functions.worker.slots import Slots
from functions.worker.summary import Summary

COALESCE_SECONDS = 0.02
"""How long a job that has ended waits for others to end, so that they are settled in one call."""
SHORT_RUN_SECONDS = 0.2
"""Jobs that run longer are not so many that their calls should be saved: a free place is filled at once."""
LARGEST_BATCH = 500
MANY_SLOTS = 20
"""From this many places on, a claim takes at most half of them: while one half runs, the other is claimed."""
LONGEST_TROUBLE_PAUSE_SECONDS = 5.0
LAST_WORDS_SECONDS = 5.0
"""How long a worker that must leave goes on trying to settle what it has cut off."""


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
        pace: how long it stays and how often it looks; by default that of a function.
        slots: the places it may use; by default as many as the settings say, for itself.
        claims: False for a drain that runs only what `start` gives it.
    """

    def __init__(
        self,
        queue: str,
        worker_id: str,
        surroundings: Surroundings,
        summary: Summary,
        *,
        pace: Pace | None = None,
        slots: Slots | None = None,
        claims: bool = True,
    ) -> None:
        self.queue = queue
        self.summary = summary
        self.left_work = False
        """Whether it left for lack of time, so that jobs may still be due."""
        self._worker_id = worker_id
        self._with = surroundings
        self._slots = slots or Slots(surroundings.settings.drain_concurrency)
        self._log = surroundings.log.bind(queue=queue, worker_id=worker_id)
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._renewals = Renewals(surroundings.ledger, self._log)
        self._running: set[Attempt] = set()
        self._ended: list[Ended] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._leaving = not claims
        self._trouble: Exception | None = None
        self._trouble_pause = 0.0
        self._retry_at = 0.0
        now = self._clock()
        self._pace = pace or Pace.of_a_call(surroundings.settings)
        self._deadline = now + self._pace.budget_seconds
        self._cut_at = math.inf
        self._looks = Looks(self._pace, self._clock)
        self._settle_at = math.inf
        """When what has ended is settled even if other jobs still run."""
        self._busy_at = now
        """When there was last something to do."""

    @property
    def accepts(self) -> bool:
        """Whether it still claims, so that nobody else need start for the same queue."""
        return not self._leaving

    @property
    def running(self) -> int:
        """How many jobs it runs now."""
        return len(self._running)

    def nudge(self) -> None:
        """Look for work at once, and linger anew: somebody says that there is some."""
        self._busy_at = self._clock()
        self.look()

    def look(self) -> None:
        """Look for work at once."""
        self._looks.soon()
        self._wake.set()

    def change_pace(self, pace: Pace) -> None:
        """Look more or less often from now on."""
        self._pace = pace
        self._looks.change_pace(pace)
        self._wake.set()

    def start(self, job: ClaimedJob, waited: float = 0.0) -> None:
        """Run a job whose claim was asked for `waited` seconds ago, in a place that is taken for it."""
        if job.is_late(waited):
            self._hand_back(job)
        else:
            self._slots.take(self, 1)
            self._begin(job)

    async def run(self) -> None:
        """Claim, run and settle until there is nothing left to do, or no time.

        Raises:
            LedgerUnavailable: the database could not be reached; what ran was still given its end where possible.
            LedgerRefused: the database does not know the queue, or does not accept our key.
        """
        helpers = [asyncio.create_task(self._stop_when_told())]
        if self._deadline < math.inf and not self._leaving:
            helpers.append(asyncio.create_task(self._leave_time_for_jobs()))
        try:
            async with self._renewals:
                while self._look_around():
                    while self._call():
                        pass
                    await self._wait()
        finally:
            self._leaving = True
            self._slots.forget(self)
            under_way = [*helpers, *self._calls]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if self._trouble is not None:
            raise self._trouble

    async def _stop_when_told(self) -> None:
        await self._with.stopping.wait()
        self._leave(work_left=True)
        self._cut_at = self._clock() + self._with.settings.shutdown_grace_seconds
        self._wake.set()

    async def _leave_time_for_jobs(self) -> None:
        """Stop claiming so early that what is claimed last can usually end within the budget."""
        with contextlib.suppress(LedgerUnavailable, LedgerRefused):
            usual = await self._with.ledger.usual_seconds(self.queue)
            self._deadline -= min(usual, self._pace.budget_seconds / 2)
            self._wake.set()

    def _leave(self, *, work_left: bool = False) -> None:
        if not self._leaving:
            self._leaving = True
            self.left_work = work_left

    def _look_around(self) -> bool:
        """What time it is, and whether there is a reason to stay."""
        now = self._clock()
        busy = bool(self._running or self._ended)
        if busy:
            self._busy_at = now
        busy = busy or bool(self._calls)
        if now >= self._deadline:
            self._leave(work_left=True)
        elif not busy and self._busy_at + self._pace.linger_seconds <= now < self._looks.at:
            self._leave()
        if now >= self._cut_at:
            for attempt in list(self._running):
                attempt.cut_off("stopped")
            if now >= self._cut_at + LAST_WORDS_SECONDS and not self._running:
                self._log.error("results could not be settled; their jobs run again", jobs=len(self._ended))
                return False
        return busy or not self._leaving

    # Calls: settle what has ended, and claim when it is time ------------------------------------------

    def _call(self) -> bool:
        """Start the next call if there is something to ask and one more may be under way."""
        now = self._clock()
        if len(self._calls) >= self._looks.calls_at_once or now < self._retry_at:
            return False
        settles = bool(self._ended) and (now >= self._settle_at or not self._running)
        wants = not self._leaving and (settles or now >= self._looks.at)
        room = min(self._slots.room(self), self._largest_claim()) if wants else 0
        if wants and not room:
            self._looks.by(now)
            self._slots.wait(self, self._wake.set)  # wakes whenever a place becomes free
        if not settles and not room:
            return False
        batch = self._ended[:LARGEST_BATCH] if settles else []
        del self._ended[: len(batch)]
        self._settle_at = now if self._ended else math.inf
        if room:
            self._looks.began()
            self._slots.take(self, room)
        call = asyncio.create_task(self._ask(batch, room))
        self._calls.add(call)
        call.add_done_callback(self._called)
        return True

    def _largest_claim(self) -> int:
        total = self._slots.total
        return min(total if total < MANY_SLOTS else math.ceil(total / 2), LARGEST_BATCH)

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._wake.set()

    async def _ask(self, batch: list[Ended], room: int) -> None:
        started, asked_at = 0, self._clock()
        try:
            if batch and room:
                started = await self._settle_and_claim(batch, room, asked_at)
            elif batch:
                await self._settle(batch)
            else:
                started = self._take(await self._with.ledger.claim(self.queue, room, self._worker_id), room, asked_at)
            self._trouble_pause = 0.0
        except Exception as trouble:  # jobs are running: they must be able to end, whatever it is
            self._stumble(trouble, batch)
        finally:
            self._slots.give_back(self, room - started)

    async def _settle_and_claim(self, batch: list[Ended], room: int, asked_at: float) -> int:
        results = [each.settlement for each in batch]
        try:
            settled, claimed = await self._with.ledger.settle_and_claim(results, self.queue, room, self._worker_id)
        except LedgerRefused as refused:
            if not is_about_data(refused):
                raise
            await self._settle(batch)  # finds the bad element; the next call claims
            self._looks.soon()
            return 0
        started = self._take(claimed, room, asked_at)
        self.summary.record(zip(batch, settled, strict=True), self._with.log)
        return started

    async def _settle(self, batch: list[Ended]) -> None:
        self.summary.record(await settle(self._with.ledger, batch), self._with.log)

    def _stumble(self, trouble: Exception, unsettled: list[Ended]) -> None:
        """What a call that failed means: a function leaves, a long-running worker tries again."""
        known = isinstance(trouble, (LedgerUnavailable, LedgerRefused))
        gone = isinstance(trouble, LedgerRefused) and trouble.code == "unknown_queue"
        log = self._log.bind(problem=str(trouble), unsettled=len(unsettled))
        if self._pace.lasts and not gone:
            self._trouble_pause = min(max(0.1, 2 * self._trouble_pause), LONGEST_TROUBLE_PAUSE_SECONDS)
            self._ended = unsettled + self._ended
            self._retry_at = self._settle_at = self._clock() + self._trouble_pause
            self._looks.not_before(self._retry_at)
            log.error("the database cannot be used; trying again", exc_info=not known)
            return
        log.error("the drain broke off", exc_info=not known)
        self._trouble = trouble
        self._leave()
        if self._running:
            self._ended = unsettled + self._ended
            self._settle_at = math.inf  # sent again when the next one ends

    # Jobs ------------------------------------------------------------------------------------------

    def _take(self, claimed: Claimed, room: int, asked_at: float) -> int:
        """Start what was claimed, and say when to look again; how many were started."""
        started, waited = 0, self._clock() - asked_at
        for job in claimed.jobs:
            if self._leaving or job.is_late(waited):
                self._hand_back(job)
            else:
                self._begin(job)
                started += 1
        if claimed.state in {"enough", "paused"} and not self._running and not self._pace.lasts:
            self._leave()  # others have all there is to have, or nobody may
        self._looks.answered(claimed, room, beside_another=len(self._calls) > 1)
        return started

    def _hand_back(self, job: ClaimedJob) -> None:
        """Not started: the drain was told to stop while the claim was under way, or a rate limit's time has passed."""
        self._note_end(ended(job, Release(), committed=job.committed))
        self.summary.claimed += 1

    def _begin(self, job: ClaimedJob) -> None:
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
            on_end=self._end,
        )
        self._running.add(attempt)
        self._renewals.add(attempt)
        self.summary.claimed += 1
        attempt.begin()

    def _end(self, attempt: Attempt, end: Ended | None) -> None:
        self._running.discard(attempt)
        self._renewals.remove(attempt)
        self._slots.give_back(self, 1)
        if end is not None:
            self._note_end(end)
        self._wake.set()

    def _note_end(self, end: Ended) -> None:
        self._ended.append(end)
        pause = COALESCE_SECONDS if end.seconds < SHORT_RUN_SECONDS else 0
        self._settle_at = min(self._settle_at, self._clock() + pause)

    # Waiting ---------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Until a job or a call ends, it is time to look, or the process has to leave."""
        moment = self._next_look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(moment if moment < math.inf else None):
                await self._wake.wait()
        self._wake.clear()

    def _next_look(self) -> float:
        """When to look again even if nothing happens, on the loop's clock."""
        now = self._clock()
        moments = [self._cut_at if now < self._cut_at else self._cut_at + LAST_WORDS_SECONDS]
        if not self._calls:
            if self._ended:
                moments.append(max(self._settle_at, self._retry_at))
            if not self._leaving and not self._slots.waits(self):
                moments.append(max(self._looks.at, self._retry_at))
        if not self._leaving:
            moments.append(self._deadline)
            if not self._running and not self._calls:
                moments.append(self._busy_at + self._pace.linger_seconds)
        return min(moments)
