"""Proof 12: pg_net may deliver one wake several times. Copies claim nothing twice and start nothing above the cap."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import pytest

from functions.app import create_app
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from tests.proofs.conftest import INTERNAL, Anything, Handle, Proof, Stand, silent
from tests.proofs.oracle import assert_drained

COPIES = 6
PROCESSES = 3
CAP = 5


@pytest.fixture(params=[CAP, None], ids=["capped", "uncapped"])
def cap(request: pytest.FixtureRequest) -> int | None:
    value: int | None = request.param
    return value


async def test_copies_of_a_wake_claim_nothing_twice(
    stand: Stand, proof: Proof, handle: Handle, cap: int | None
) -> None:
    await wakes(stand, proof, handle, cap, ticks=40)


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_five_hundred_ticks_six_times_each_claim_nothing_twice(
    stand: Stand, proof: Proof, handle: Handle, cap: int | None
) -> None:
    await wakes(stand, proof, handle, cap, ticks=500)


async def wakes(stand: Stand, proof: Proof, handle: Handle, cap: int | None, *, ticks: int) -> None:
    runs: Counter[str] = Counter()
    inside = most = 0

    async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        nonlocal inside, most
        runs[str(job.job_id)] += 1
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.002)
        inside -= 1
        return Done()

    handle(run)
    stand.queue(concurrency=cap)
    ids: list[str] = []
    copies = 0
    async with AsyncExitStack() as stack:
        drains = [await process(stack, stand) for _ in range(PROCESSES)]
        for _ in range(ticks):
            ids += stand.engine.enqueue(*[{"kind": "task"}] * proof.random.randint(1, 40))
            several = proof.random.randint(2, COPIES)
            copies += several
            calls = [proof.random.choice(drains).post("/api/queue/process", headers=INTERNAL) for _ in range(several)]
            answers = await asyncio.gather(*calls)
            assert {answer.status_code for answer in answers} == {200}
        await drains[0].post("/api/queue/process", headers=INTERNAL)
    assert_drained(stand.engine, ids)
    assert set(runs) == set(ids)
    twice = sum(count - 1 for count in runs.values())
    assert twice == 0
    allowed = cap or PROCESSES * 10
    assert most <= allowed
    proof.record(
        12, "capped" if cap else "uncapped", target="500 ticks x 2-6 copies: <= max concurrency, 0 double claims",
        reached=f"{ticks} ticks, {copies} wakes at {PROCESSES} processes: at most {most} of {allowed} at once, "
        f"{twice} double claims",
        ticks=ticks, wakes=copies, jobs=len(ids), most_at_once=most, allowed=allowed,
    )  # fmt: skip


async def process(stack: AsyncExitStack, stand: Stand) -> httpx.AsyncClient:
    """The functions as one more process would serve them; a client of theirs."""
    app = create_app(stand.settings(), silent())
    stack.push_async_callback(app.state.services.close)
    return await stack.enter_async_context(
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions", timeout=30)
    )
