"""Proof 7: handlers that run three times as long as their lease. Renewed, they are left alone; not renewed, another
worker takes over, and the job still ends once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import pytest

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.web.services import Services
from functions.worker import renewals
from functions.worker.host import WorkerHost
from functions.worker.ledger import Claimed, Renewal, Renewed, Settled, Settlement
from functions.worker.rest_ledger import RestLedger
from tests.proofs.conftest import Anything, Handle, Proof, Stand, services_of, until
from tests.proofs.oracle import assert_drained

JOBS = 100
LEASE_SECONDS = 15
FASTER = 20
"""The engine's clock runs this much faster than the wall's, and so do the leases in the worker's eyes."""
STEP_SECONDS = 0.5


class FastLedger(RestLedger):
    """Tells the worker leases as long as they are on its own clock."""

    async def claim(self, queue: str, limit: int, worker_id: str) -> Claimed:
        return scaled(await super().claim(queue, limit, worker_id))

    async def settle_and_claim(
        self, results: Sequence[Settlement], queue: str, limit: int, worker_id: str
    ) -> tuple[Sequence[Settled], Claimed]:
        settled, claimed = await super().settle_and_claim(results, queue, limit, worker_id)
        return settled, scaled(claimed)


class SilentLedger(FastLedger):
    """Its renewals never arrive, and it never hears that it lost a job."""

    async def extend(self, leases: Sequence[Renewal]) -> Sequence[Renewed]:
        return [Renewed(job_id=lease.job_id) for lease in leases]


def scaled(claimed: Claimed) -> Claimed:
    jobs = tuple(job.model_copy(update={"lease_seconds": job.lease_seconds / FASTER}) for job in claimed.jobs)
    return claimed.model_copy(update={"jobs": jobs})


@dataclass
class FastClock:
    """The engine's time flies while the context lasts, and what is lost is rescued at every step of it."""

    stand: Stand
    passed: float = 0.0

    async def __aenter__(self) -> Self:
        self._flying = asyncio.create_task(self._fly())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._flying.cancel()
        with suppress(asyncio.CancelledError):
            await self._flying

    async def wait(self, seconds: float) -> None:
        """Until so much of the engine's time has passed."""
        until = self.passed + seconds
        while self.passed < until:  # noqa: ASYNC110 - the clock moves in steps
            await asyncio.sleep(STEP_SECONDS / FASTER)

    async def _fly(self) -> None:
        while True:
            self.stand.step(STEP_SECONDS)
            self.passed += STEP_SECONDS
            await asyncio.to_thread(self.stand.engine.call, "rescue_jobs", 1000)
            await asyncio.sleep(STEP_SECONDS / FASTER)


def make_host(services: Services, kind: type[RestLedger]) -> WorkerHost:
    return WorkerHost(services, kind(services.database, services.settings.supabase_service_role_key))


@pytest.fixture(autouse=True)
def fast_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewals, "LEAST_PAUSE_SECONDS", renewals.LEAST_PAUSE_SECONDS / FASTER)


async def test_a_renewed_handler_is_left_alone_however_long_it_runs(stand: Stand, proof: Proof, handle: Handle) -> None:
    runs: Counter[str] = Counter()
    clock = FastClock(stand)

    async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        runs[str(job.job_id)] += 1
        await clock.wait(3 * LEASE_SECONDS)
        return Done()

    handle(run)
    stand.queue(lease_seconds=LEASE_SECONDS)
    ids = stand.engine.enqueue(*[{"kind": "task"}] * JOBS)
    async with services_of(stand, drain_concurrency=JOBS) as services, clock:
        summary = await make_host(services, FastLedger).drain(["work"])
    assert (summary.claimed, summary.completed) == (JOBS, JOBS)
    assert set(runs.values()) == {1}
    assert stand.engine.value("select count(*) from public.job_attempts") == 0, "no attempt was lost"
    assert_drained(stand.engine, ids)
    proof.record(
        7, "with renewal", target="100 jobs of 3 x lease: 0 redeliveries",
        reached=f"{JOBS} jobs of 3 x lease: {sum(runs.values()) - JOBS} redeliveries", jobs=JOBS,
    )  # fmt: skip


async def test_a_handler_without_renewal_is_taken_over_and_its_job_ends_once(
    stand: Stand, proof: Proof, handle: Handle
) -> None:
    runs: Counter[str] = Counter()
    clock = FastClock(stand)

    async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        runs[str(job.job_id)] += 1
        if job.attempt == 1:
            await clock.wait(3 * LEASE_SECONDS)
        return Done({"attempt": job.attempt})

    handle(run)
    stand.queue(lease_seconds=LEASE_SECONDS)
    ids = stand.engine.enqueue(*[{"kind": "task"}] * JOBS)
    changes = {"drain_concurrency": JOBS, "drain_linger_seconds": 3 * LEASE_SECONDS / FASTER}
    async with (
        services_of(stand, **changes) as services,
        services_of(stand, **changes) as others,
        clock,
    ):
        slow = asyncio.create_task(make_host(services, SilentLedger).drain(["work"]))
        await until(lambda: len(runs) == JOBS)
        quick = await make_host(others, FastLedger).drain(["work"])
        late = await slow
    assert_drained(stand.engine, ids)
    rows = stand.engine.connection.execute("select status, result, attempt from public.jobs").fetchall()
    assert rows == [("completed", {"attempt": 2}, 2)] * JOBS
    assert quick.completed + late.completed == JOBS, "each completion counted, none of the late ones"
    assert sum(runs.values()) == 2 * JOBS
    proof.record(
        7, "without renewal", target="exactly one effective completion each",
        reached=f"{JOBS} jobs: {quick.completed + late.completed} effective completions, {JOBS} late ones refused",
        jobs=JOBS, runs=sum(runs.values()),
    )  # fmt: skip
