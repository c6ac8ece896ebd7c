"""Keeping the leases of a drain's running jobs alive, all in one call, which also carries progress and cancellation."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import structlog

from functions.worker.attempt import Attempt
from functions.worker.ledger import Ledger, LedgerRefused, LedgerUnavailable

LEAST_PAUSE_SECONDS = 1.0
"""Progress is written soon, but at most this often."""


class Renewals:
    """Renews the lease of every added attempt each third of its length. An async context manager."""

    def __init__(self, ledger: Ledger, log: structlog.stdlib.BoundLogger) -> None:
        self._ledger = ledger
        self._log = log
        self._attempts: set[Attempt] = set()
        self._changed = asyncio.Event()
        self._called_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def add(self, attempt: Attempt) -> None:
        """Renew this attempt's lease until it is removed."""
        self._attempts.add(attempt)
        self._changed.set()

    def remove(self, attempt: Attempt) -> None:
        """The attempt is over."""
        self._attempts.discard(attempt)

    def soon(self) -> None:
        """There is progress to write."""
        self._changed.set()

    async def _run(self) -> None:
        while True:
            delay = self._delay(asyncio.get_running_loop().time())
            if delay is None or delay > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
                self._changed.clear()
            else:
                await self._renew()

    def _delay(self, now: float) -> float | None:
        """Seconds until the next call; None while nothing runs."""
        if not self._attempts:
            return None
        due = min(attempt.renewed_at + attempt.lease_seconds / 3 for attempt in self._attempts)
        if any(attempt.has_progress for attempt in self._attempts):
            due = now
        return max(due, self._called_at + LEAST_PAUSE_SECONDS) - now

    async def _renew(self) -> None:
        now = self._called_at = asyncio.get_running_loop().time()
        attempts = {attempt.job.job_id: attempt for attempt in self._attempts}
        try:
            answers = await self._ledger.extend([attempt.renewal() for attempt in attempts.values()])
        except (LedgerUnavailable, LedgerRefused) as problem:
            self._log.warning("leases could not be renewed", problem=str(problem), jobs=len(attempts))
            return  # tried again after the least pause: a lease outlasts several failures
        for answer in answers:
            attempt = attempts[answer.job_id]
            attempt.renewed_at = now
            if answer.stale:
                attempt.cut_off("lost")
            elif answer.cancel_requested:
                attempt.cancelled.set()
