"""A drain that lasts, as of a long-running worker, against a ledger that answers what each test wrote."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from functions.jobs import registry
from functions.worker.drain import Drain
from functions.worker.ledger import LedgerRefused, LedgerUnavailable
from functions.worker.pace import Pace
from functions.worker.run_times import STEPS, RunTimes
from functions.worker.summary import Summary
from tests.functions.conftest import Logs, make_settings, wait_until
from tests.functions.scripted import (
    Gate,
    MakeDrain,
    ScriptedLedger,
    claimed,
    claimed_job,
    finish,
    instantly,
    jobs,
    registration,
    surroundings,
)

DOWN = LedgerUnavailable("connect: refused")


@pytest.fixture
async def lasting(
    ledger: ScriptedLedger, logs: Logs, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Drain]:
    monkeypatch.setitem(registry._registrations, "test", registration("test", instantly))
    async with httpx.AsyncClient() as http:
        settings = make_settings(shutdown_grace_seconds=0.1)
        around = surroundings(ledger, settings, logs.logger, http, stopping)
        yield Drain("q", "worker-1", around, Summary(), pace=Pace(first_pause=3600, longest_pause=3600))


async def test_results_are_kept_until_the_database_is_back(
    lasting: Drain, ledger: ScriptedLedger, stopping: asyncio.Event, logs: Logs
) -> None:
    failures = [DOWN] * 3
    ledger.refuse_settle = lambda _: failures.pop() if failures else None
    ledger.claims.append(claimed(*jobs(3)))
    running = asyncio.create_task(finish(lasting))
    await wait_until(lambda: bool(ledger.settlements))
    stopping.set()
    summary = await running
    assert ledger.outcomes == ["done"] * 3
    assert summary.completed == 3
    assert len(logs.find("the database cannot be used; trying again")) == 3


async def test_a_claim_that_failed_is_tried_again_at_growing_pauses(
    lasting: Drain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    ledger.claims.extend([DOWN, DOWN, claimed(claimed_job())])
    started = asyncio.get_running_loop().time()
    running = asyncio.create_task(finish(lasting))
    await wait_until(lambda: bool(ledger.settlements))
    assert 0.3 <= asyncio.get_running_loop().time() - started < 2  # 0.1 and 0.2 s
    stopping.set()
    await running


async def test_jobs_go_on_while_the_database_is_away(
    lasting: Drain, ledger: ScriptedLedger, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    monkeypatch.setitem(registry._registrations, "test", registration("test", gate))
    ledger.claims.extend([claimed(*jobs(2)), DOWN, DOWN])
    running = asyncio.create_task(finish(lasting))
    await wait_until(lambda: gate.inside == 2)
    lasting.look()
    await wait_until(lambda: not ledger.claims)
    assert gate.inside == 2
    gate.open.set()
    await wait_until(lambda: ledger.outcomes == ["done", "done"])
    stopping.set()
    await running


async def test_it_leaves_in_the_end_also_when_the_database_stays_away(
    lasting: Drain, ledger: ScriptedLedger, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr("functions.worker.drain.LAST_WORDS_SECONDS", 0.2)
    ledger.refuse_settle = lambda _: DOWN
    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(lasting))
    await wait_until(lambda: "settle_and_claim" in ledger.names())
    stopping.set()
    assert (await running).completed == 0
    assert logs.find("results could not be settled; their jobs run again")[0]["jobs"] == 2


@pytest.mark.parametrize("state", ["enough", "paused", "empty", "busy"])
async def test_it_stays_whatever_the_queue_says(
    lasting: Drain, ledger: ScriptedLedger, stopping: asyncio.Event, state: str
) -> None:
    ledger.claims.append(claimed(state=state))
    running = asyncio.create_task(finish(lasting))
    await wait_until(lambda: not ledger.claims)
    ledger.claims.append(claimed(claimed_job()))
    lasting.look()
    await wait_until(lambda: bool(ledger.settlements))
    stopping.set()
    await running


async def test_a_queue_that_is_gone_is_left(lasting: Drain, ledger: ScriptedLedger) -> None:
    ledger.claims.append(LedgerRefused(404, "unknown_queue", "There is no queue.", from_engine=True))
    with pytest.raises(LedgerRefused):
        await finish(lasting)


# Batches and time -----------------------------------------------------------------------------------


async def test_a_long_backlog_is_claimed_by_halves_so_that_one_runs_while_the_other_is_fetched(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    ledger.claims.extend([claimed(*jobs(50)), claimed(*jobs(50)), claimed(*jobs(10))])
    summary = await finish(make_drain(instantly, drain_concurrency=100))
    assert summary.completed == 110
    assert {limit for name, limit in ledger.calls if name in {"claim", "settle_and_claim"}} == {50}


async def test_a_drain_claims_no_more_when_the_time_left_is_less_than_its_jobs_usually_take(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    ledger.usual = 1.7
    drain = make_drain(instantly, drain_budget_seconds=2, drain_linger_seconds=60)
    started = asyncio.get_running_loop().time()
    await finish(drain)
    assert 0.9 <= asyncio.get_running_loop().time() - started < 1.8  # never more than half of the budget is given up
    assert drain.left_work


@pytest.mark.parametrize(("seconds", "step"), [(0, 0), (0.001, 0), (0.0011, 1), (0.002, 1), (0.5, 9), (1e9, STEPS - 1)])
def test_run_times_are_counted_by_doubling_steps(seconds: float, step: int) -> None:
    times = RunTimes()
    times.note("task", seconds)
    (counts,) = times.take().values()
    assert counts.index(1) == step
    assert times.take() == {}
