"""Leases are renewed while jobs run, and handed back when the process must leave."""

import asyncio
from typing import Any

import pytest

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.worker import renewals as renewals_module
from functions.worker.ledger import LedgerUnavailable, Renewal, Renewed
from tests.functions.conftest import Logs, wait_until
from tests.functions.scripted import (
    AnyPayload,
    Gate,
    MakeDrain,
    ScriptedLedger,
    claimed,
    claimed_job,
    finish,
    jobs,
)


async def test_all_leases_of_a_drain_are_renewed_in_one_call_each_third_of_their_length(
    make_drain: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.01)
    gate = Gate()
    ledger.claims.append(claimed(*jobs(3, lease_seconds=0.9)))
    running = asyncio.create_task(finish(make_drain(gate)))
    started = asyncio.get_running_loop().time()
    await wait_until(lambda: len(ledger.renewals) == 2)
    assert 0.55 < asyncio.get_running_loop().time() - started < 1.2
    assert {len(batch) for batch in ledger.renewals} == {3}
    gate.open.set()
    await running
    ended = len(ledger.renewals)
    await asyncio.sleep(0)
    assert len(ledger.renewals) == ended


async def test_progress_travels_with_a_renewal_and_soon(
    make_drain: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.05)
    seen = asyncio.Event()

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        for percent in (10, 20, 30):
            ctx.progress(percent, f"{percent} %")
        await seen.wait()
        return Done()

    ledger.claims.append(claimed(claimed_job()))
    running = asyncio.create_task(finish(make_drain(run)))
    await wait_until(lambda: bool(ledger.renewals))
    assert [(lease.progress, lease.note) for lease in ledger.renewals[0]] == [(30, "30 %")]
    seen.set()
    await running
    assert len(ledger.renewals) == 1


async def test_a_wish_to_cancel_reaches_the_handler_and_a_lost_claim_ends_it(
    make_drain: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.01)
    unwanted, lost = jobs(2, lease_seconds=0.03)

    def renew(lease: Renewal) -> Renewed:
        return Renewed(job_id=lease.job_id, stale=lease.job_id == lost.job_id, cancel_requested=True)

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if job.job_id == lost.job_id:
            await asyncio.Event().wait()
        await ctx.cancelled.wait()
        return Done({"stopped": True})

    ledger.renew = renew
    ledger.claims.append(claimed(unwanted, lost))
    await finish(make_drain(run))
    assert [element["job_id"] for element in ledger.settlements] == [unwanted.job_id]


async def test_a_renewal_that_fails_is_tried_again(
    make_drain: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.01)
    gate = Gate()

    def renew(lease: Renewal) -> Renewed:
        if len(ledger.renewals) < 3:
            raise LedgerUnavailable("extend_leases: ReadTimeout")
        return Renewed(job_id=lease.job_id)

    ledger.renew = renew
    ledger.claims.append(claimed(claimed_job(lease_seconds=0.03)))
    running = asyncio.create_task(finish(make_drain(gate)))
    await wait_until(lambda: len(ledger.renewals) >= 4)
    gate.open.set()
    assert (await running).completed == 1
    assert len(logs.find("leases could not be renewed")) == 2


async def test_told_to_stop_it_claims_no_more_and_lets_jobs_finish(
    make_drain: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(2)))
    drain = make_drain(gate, drain_linger_seconds=5)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: gate.inside == 2)
    stopping.set()
    await wait_until(lambda: not drain.accepts)
    gate.open.set()
    assert (await running).completed == 2
    assert ledger.names()[-1] == "settle"
    assert drain.left_work


async def test_after_the_grace_it_hands_back_what_still_runs(
    make_drain: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    ledger.claims.append(claimed(*jobs(2)))
    gate = Gate()
    running = asyncio.create_task(finish(make_drain(gate, shutdown_grace_seconds=0.05)))
    await wait_until(lambda: gate.inside == 2)
    stopping.set()
    summary = await running
    assert ledger.outcomes == ["release", "release"]
    assert summary.released == 2


async def test_jobs_that_arrive_after_the_word_to_stop_are_handed_back_unstarted(
    make_drain: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        started.append(job.claim_id)
        return Done()

    original = ledger.claim

    async def slow_claim(queue: str, limit: int, worker_id: str) -> Any:
        stopping.set()
        for _ in range(3):
            await asyncio.sleep(0)
        return await original(queue, limit, worker_id)

    monkeypatch.setattr(ledger, "claim", slow_claim)
    ledger.claims.append(claimed(*jobs(3)))
    summary = await finish(make_drain(run))
    assert not started
    assert ledger.outcomes == ["release"] * 3
    assert (summary.claimed, summary.released) == (3, 3)
