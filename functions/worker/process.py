"""The long-running worker: one drain a queue that never leaves, woken by the database, until it is told to stop."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import httpx
import structlog

from functions.settings import Settings
from functions.worker.drain import Drain, Surroundings
from functions.worker.host import new_worker_id
from functions.worker.ledger import Ledger, LedgerRefused, LedgerUnavailable
from functions.worker.pace import Pace
from functions.worker.slots import Slots
from functions.worker.summary import Summary
from functions.worker.wakeups import Wakeups

BEAT_SECONDS = 5.0
"""How often it says that it lives; who was not seen for three beats no longer counts."""
BEATS_TO_RECORD = 12
"""How many beats pass until the times of its jobs are written down."""
WORD_SECONDS = 3.0
"""How long it tries to say that it stops, or has stopped: nothing depends on being heard."""


class WorkerProcess:
    """Serves queues until `stopping` is set.

    Args:
        settings: the configuration; `supabase_db_url` must be there.
        ledger: how to speak to the engine.
        http: the client that handlers use for other companies' APIs.
        queues: the queues to serve; None for all, those made later included.
        concurrency: jobs that run at a time, over all queues.
        log: where structured events go.
        stopping: set when the process is told to stop.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        http: httpx.AsyncClient,
        *,
        queues: Sequence[str] | None,
        concurrency: int,
        log: structlog.stdlib.BoundLogger,
        stopping: asyncio.Event,
    ) -> None:
        self.summary = Summary()
        self._worker_id = new_worker_id()
        self._settings = settings
        self._ledger = ledger
        self._queues = queues
        self._stopping = stopping
        self._log = log.bind(worker_id=self._worker_id)
        self._with = Surroundings(ledger, http, settings, log, stopping)
        self._slots = Slots(concurrency)
        self._pace = Pace()
        self._listening = False
        self._drains: dict[str, Drain] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Summary:
        """Serve until told to stop; what it did, in numbers.

        Raises:
            LedgerUnavailable: the database could not be reached at the start.
            LedgerRefused: it does not let us in, has no Fila Viva, or does not know a queue.
        """
        await self._beat()
        listening = asyncio.create_task(self._listen())
        beating = asyncio.create_task(self._keep_beating())
        try:
            await self._stopping.wait()
            self._log.info("worker stopping", running=sum(drain.running for drain in self._drains.values()))
            await self._say(self._ledger.announce(self._worker_id, self._queues, stopping=True))
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in (listening, beating, *self._tasks):
                task.cancel()
            await asyncio.gather(listening, beating, *self._tasks, return_exceptions=True)
        await self._say(self._record())
        await self._say(self._ledger.dismiss(self._worker_id))
        return self.summary

    def _wake(self, queue: str | None) -> None:
        for drain in self._drains.values() if queue is None else filter(None, [self._drains.get(queue)]):
            drain.look()

    async def _listen(self) -> None:
        url = self._settings.supabase_db_url
        if url is not None:
            await Wakeups(url.get_secret_value(), self._wake, self._heard, self._log).run()

    def _heard(self, listening: bool) -> None:
        """Look rarely while the database can be listened to, and often while it cannot."""
        if listening == self._listening:
            return
        self._listening = listening
        poll = self._settings.worker_poll_seconds
        self._pace = Pace(first_pause=poll, longest_pause=poll) if listening else Pace()
        for drain in self._drains.values():
            drain.change_pace(self._pace)

    # Beats -----------------------------------------------------------------------------------------

    async def _keep_beating(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            beats += 1
            try:
                if not self._stopping.is_set():
                    await self._beat()
                if beats % BEATS_TO_RECORD == 0:
                    await self._record()
            except (LedgerUnavailable, LedgerRefused) as problem:
                self._log.warning("the worker could not say that it lives", problem=str(problem))

    async def _beat(self) -> None:
        for queue in await self._ledger.announce(self._worker_id, self._queues):
            if queue not in self._drains:
                self._serve(queue)

    def _serve(self, queue: str) -> None:
        drain = Drain(queue, self._worker_id, self._with, self.summary, pace=self._pace, slots=self._slots)
        self._drains[queue] = drain
        task = asyncio.create_task(self._drain(drain))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, drain: Drain) -> None:
        try:
            await drain.run()
        except LedgerRefused as refused:  # the queue is gone; when it comes back, the next beat finds it
            self._log.warning("the queue is no longer served", queue=drain.queue, problem=str(refused))
        except Exception:
            self._log.exception("a drain broke down; the next beat starts another", queue=drain.queue)
        finally:
            del self._drains[drain.queue]

    async def _record(self) -> None:
        runs = self.summary.take_run_times()
        if runs:
            await self._ledger.record_runs(runs)

    async def _say(self, word: Coroutine[Any, Any, object]) -> None:
        try:
            async with asyncio.timeout(WORD_SECONDS):
                await word
        except (LedgerUnavailable, LedgerRefused, TimeoutError) as problem:
            self._log.warning("the database did not hear that the worker stops", problem=str(problem))
