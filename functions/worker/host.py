"""The drains of one process: at most one a queue, woken rather than doubled, and chained while work remains."""

import asyncio
import os
import socket
from collections.abc import Sequence
from uuid import UUID, uuid4

from functions.jobs import registry
from functions.web.services import Services
from functions.worker.drain import Drain, Surroundings
from functions.worker.ledger import Ledger, LedgerRefused, LedgerUnavailable
from functions.worker.rest_ledger import rest_ledger
from functions.worker.summary import Summary


class WorkerHost:
    """What the scheduler's endpoints call. Make it with `services.once(WorkerHost)`, one a process.

    Args:
        services: what the process shares.
        ledger: how to speak to the engine; the project's REST API by default.
    """

    def __init__(self, services: Services, ledger: Ledger | None = None) -> None:
        registry.load()
        self.ledger = ledger or services.once(rest_ledger)
        self._services = services
        self._surroundings = Surroundings(
            self.ledger, services.outside, services.settings, services.log, services.stopping
        )
        self._active: dict[str, Drain] = {}

    async def drain(self, queues: Sequence[str] | None) -> Summary:
        """Drain `queues`, or every queue that has work.

        A queue that is being drained by this process already is only nudged: the drain that runs looks at once.

        Raises:
            LedgerUnavailable: the database could not be reached.
            LedgerRefused: it does not know a queue, or does not accept the service key.
        """
        summary = Summary()
        names = await self.ledger.due_queues() if queues is None else queues
        drains = [drain for name in dict.fromkeys(names) if (drain := self._enter(name, summary)) is not None]
        try:
            results = await asyncio.gather(*(drain.run() for drain in drains), return_exceptions=True)
        finally:
            for drain in drains:
                if self._active.get(drain.queue) is drain:
                    del self._active[drain.queue]
        for problem in results:
            if isinstance(problem, BaseException):
                raise problem
        await self._chain([drain.queue for drain in drains if drain.left_work], summary)
        await self._record(summary)
        return summary

    def look(self) -> None:
        """Have the drains that linger look at once: this process has just enqueued something."""
        for drain in self._active.values():
            drain.look()

    async def run_one(self, job_id: UUID) -> Summary:
        """Claim one job by its id, run it, settle it.

        Raises:
            LedgerRefused: `unknown_job`, or `not_claimable` with the reason.
            LedgerUnavailable: the database could not be reached.
        """
        worker_id = new_worker_id()
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        job = await self.ledger.claim_one(job_id, worker_id)
        drain = Drain(job.queue, worker_id, self._surroundings, Summary(), claims=False)
        drain.start(job, clock() - asked_at)
        await drain.run()
        return drain.summary

    def _enter(self, queue: str, summary: Summary) -> Drain | None:
        active = self._active.get(queue)
        if active is not None and active.accepts:
            active.nudge()
            return None
        drain = self._active[queue] = Drain(queue, new_worker_id(), self._surroundings, summary)
        return drain

    async def _chain(self, queues: Sequence[str], summary: Summary) -> None:
        """Have the drain called again for those of `queues` that still have jobs due."""
        if not queues:
            return
        try:
            due = set(await self.ledger.due_queues())
            remaining = [queue for queue in queues if queue in due]
            kicked = [await self.ledger.kick(queue) for queue in remaining]
            summary.remaining = await self.ledger.due_jobs(remaining) if remaining else 0
        except (LedgerUnavailable, LedgerRefused) as problem:
            self._services.log.warning("the next drain could not be called", problem=str(problem))
            return
        summary.chained = any(kicked)

    async def _record(self, summary: Summary) -> None:
        """Leave behind how long the jobs took, for the drains to come."""
        runs = summary.take_run_times()
        try:
            if runs:
                await self.ledger.record_runs(runs)
        except (LedgerUnavailable, LedgerRefused) as problem:
            self._services.log.warning("run times could not be recorded", problem=str(problem))


def new_worker_id() -> str:
    """A name for one who claims: host, process, and something of its own."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid4().hex[:8]}"
