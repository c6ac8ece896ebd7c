"""Proof 13: ticks while a drain runs, and ten people who press the button at once: one drain a process and queue."""

import asyncio
from typing import Any

import httpx
import pytest

from functions.app import create_app
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from tests.proofs.conftest import (
    CRON_SECRET,
    INTERNAL,
    Anything,
    Handle,
    Proof,
    Stand,
    WakeLog,
    deliver,
    served,
    silent,
    until,
)
from tests.proofs.oracle import assert_drained

CALLS = 10
CONNECTIONS = "select count(*) from pg_stat_activity where datname = current_database()"
WORKERS = "select count(distinct worker_id) from public.jobs where worker_id is not null"


async def test_calls_during_a_drain_join_it(stand: Stand, proof: Proof, handle: Handle) -> None:
    await overlap(stand, proof, handle, ticks=15)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_hundred_ticks_during_a_drain_join_it(stand: Stand, proof: Proof, handle: Handle) -> None:
    await overlap(stand, proof, handle, ticks=100)


async def overlap(stand: Stand, proof: Proof, handle: Handle, *, ticks: int) -> None:
    opened = asyncio.Event()

    async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        await opened.wait()
        return Done()

    handle(run)
    app = create_app(stand.settings(drain_linger_seconds=0.5), silent())
    wakes = WakeLog(app)
    async with served(wakes) as url, httpx.AsyncClient(base_url=url, headers=INTERNAL, timeout=60) as client:
        stand.engine.call("configure_drain", f"{url}/api/queue/process", CRON_SECRET, 200)
        ids = stand.engine.enqueue(*[{"kind": "task"}] * 25)
        first = asyncio.create_task(drain(client))
        await until(lambda: stand.engine.value("select count(*) from jobs where status = 'processing'") == 10)
        before = stand.engine.value(CONNECTIONS)
        for _ in range(ticks):
            ids += stand.engine.enqueue({"kind": "task"})
            stand.step(10)
            await asyncio.to_thread(stand.engine.call, "tick")
            await deliver(stand, client)
        joined = await asyncio.gather(*(drain(client) for _ in range(CALLS)))
        during = stand.engine.value(CONNECTIONS)
        opened.set()
        summary = await first
    await app.state.services.close()
    assert_drained(stand.engine, ids)
    assert [each["claimed"] for each in joined] == [0] * CALLS, "they only nudged the drain that runs"
    assert summary["completed"] == len(ids)
    workers = stand.engine.value(WORKERS)
    assert workers == 1
    assert during <= before + 1
    proof.record(
        13, "overlap", target="<= 1 drain per lane, 0 connection growth",
        reached=f"{len(wakes.at)} calls during one drain: {workers} drain, {max(during - before, 0)} more connections",
        ticks=ticks, calls=len(wakes.at), drains=workers, connections_before=before, connections_during=during,
    )  # fmt: skip


async def drain(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/api/queue/process", json={"queues": ["work"]})
    summary: dict[str, Any] = answer.raise_for_status().json()
    return summary
