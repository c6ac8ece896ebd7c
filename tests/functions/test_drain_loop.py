"""When a drain claims, how long it stays, and when it leaves, against a ledger that answers what each test wrote."""

import asyncio
from typing import Any

import pytest

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.worker.pace import FIRST_PAUSE_SECONDS
from tests.functions.conftest import wait_until
from tests.functions.scripted import (
    AnyPayload,
    Gate,
    MakeDrain,
    ScriptedLedger,
    claimed,
    claimed_job,
    finish,
    instantly,
    jobs,
)


async def test_an_empty_queue_is_left_at_once_when_it_may_not_linger(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    summary = await finish(make_drain(instantly))
    assert ledger.names() == ["claim"]
    assert summary.to_json() | {"duration_ms": 0} == {
        "claimed": 0, "completed": 0, "retried": 0, "snoozed": 0, "failed": 0, "unconfirmed": 0, "released": 0,
        "remaining": 0, "duration_ms": 0, "chained": False,
    }  # fmt: skip


async def test_jobs_are_run_and_settled_together_and_settling_rides_on_the_next_claim(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    ledger.claims.extend([claimed(*jobs(3)), claimed(*jobs(2))])
    summary = await finish(make_drain(instantly))
    assert (summary.claimed, summary.completed) == (5, 5)
    assert [len(batch) for batch in ledger.batches] == [3, 2]
    assert ledger.names()[:3] == ["claim", "settle_and_claim", "settle_and_claim"]
    assert "settle" not in ledger.names()


async def test_no_more_is_claimed_than_there_are_free_places(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(make_drain(gate, drain_concurrency=3)))
    await wait_until(lambda: len([call for call in ledger.calls if call[0] == "claim"]) >= 2)
    gate.open.set()
    await running
    assert [limit for name, limit in ledger.calls if name == "claim"][:2] == [3, 1]


async def test_a_full_house_claims_nothing_until_a_place_is_free(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(make_drain(gate, drain_concurrency=2)))
    await wait_until(lambda: gate.inside == 2)
    await asyncio.sleep(FIRST_PAUSE_SECONDS * 3)  # long enough for a poll, if there were one
    assert ledger.names() == ["claim"]
    gate.open.set()
    await running
    assert ledger.calls[1] == ("settle_and_claim", 2)


async def test_a_job_that_ends_is_settled_while_others_still_run(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    slow, quick = claimed_job(1, payload={"slow": True}), claimed_job(2)

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return await gate(job, payload, ctx) if job.payload else Done()

    ledger.claims.append(claimed(slow, quick))
    running = asyncio.create_task(finish(make_drain(run)))
    await wait_until(lambda: len(ledger.settlements) == 1)
    assert ledger.settlements[0]["job_id"] == quick.job_id and gate.inside == 1
    gate.open.set()
    assert (await running).completed == 2


async def test_it_lingers_and_polls_at_growing_pauses(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    started = asyncio.get_running_loop().time()
    await finish(make_drain(instantly, drain_linger_seconds=0.6))
    assert 0.6 <= asyncio.get_running_loop().time() - started < 2
    assert 4 <= len(ledger.names()) <= 8  # at 0, 75, 188, 357 and 610 ms


async def test_a_job_that_appears_while_lingering_is_run_and_lingering_begins_anew(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    ledger.claims.extend([claimed(), claimed(), claimed(claimed_job())])
    summary = await finish(make_drain(instantly, drain_linger_seconds=0.3))
    assert summary.completed == 1
    assert len(ledger.names()) > 4


async def test_it_wakes_when_the_next_job_is_due(
    make_drain: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    ledger.claims.extend([claimed()] * 6 + [claimed(next_due_in_ms=60), claimed(claimed_job())])
    moments: list[float] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        moments.append(asyncio.get_running_loop().time())
        return Done()

    drain = make_drain(run, drain_linger_seconds=3)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: len(ledger.names()) == 7)
    asked = asyncio.get_running_loop().time()
    await wait_until(lambda: bool(moments))
    stopping.set()
    await running
    assert moments[0] - asked < 0.25  # the pause had grown to half a second by then


async def test_a_nudge_makes_it_look_at_once(
    make_drain: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    drain = make_drain(instantly, drain_linger_seconds=2)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: len(ledger.names()) == 6)  # the pause is half a second now
    ledger.claims.append(claimed(claimed_job()))
    nudged = asyncio.get_running_loop().time()
    drain.nudge()
    await wait_until(lambda: bool(ledger.settlements))
    assert asyncio.get_running_loop().time() - nudged < 0.2
    stopping.set()
    await running


async def test_a_nudge_that_comes_while_a_claim_is_under_way_is_not_forgotten(
    make_drain: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = make_drain(instantly, drain_linger_seconds=2)
    original = ledger.claim
    nudged: list[float] = []

    async def claim(queue: str, limit: int, worker_id: str) -> Any:
        answer = await original(queue, limit, worker_id)  # what it saw was there before the nudge
        if len(ledger.names()) == 6:
            ledger.claims.append(claimed(claimed_job()))
            drain.nudge()
            nudged.append(asyncio.get_running_loop().time())
        return answer

    monkeypatch.setattr(ledger, "claim", claim)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: bool(ledger.settlements))
    assert asyncio.get_running_loop().time() - nudged[0] < 0.2  # the pause is half a second by now
    stopping.set()
    await running


@pytest.mark.parametrize("state", ["enough", "paused"])
async def test_it_leaves_at_once_when_others_do_the_work_or_nobody_may(
    make_drain: MakeDrain, ledger: ScriptedLedger, state: str
) -> None:
    ledger.claims.append(claimed(state=state))
    drain = make_drain(instantly, drain_linger_seconds=5)
    await finish(drain)
    assert ledger.names() == ["claim"]
    assert not drain.left_work


async def test_a_busy_queue_is_asked_again_soon(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    ledger.claims.extend([claimed(state="busy")] * 8 + [claimed(claimed_job())])
    started = asyncio.get_running_loop().time()
    assert (await finish(make_drain(instantly, drain_linger_seconds=5, drain_budget_seconds=1))).completed == 1
    assert asyncio.get_running_loop().time() - started < 3


async def test_after_its_budget_it_claims_no_more_but_lets_jobs_finish(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(1)))
    drain = make_drain(gate, drain_budget_seconds=1, drain_linger_seconds=5)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: not drain.accepts)
    claims = ledger.names().count("claim")
    gate.open.set()
    assert (await running).completed == 1
    assert ledger.names().count("claim") == claims and ledger.names()[-1] == "settle"
    assert drain.left_work


async def test_a_job_under_a_limit_that_comes_too_late_is_handed_back_unstarted(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    late, punctual = claimed_job(1, start_within_seconds=0), claimed_job(2, start_within_seconds=60)
    ledger.claims.append(claimed(late, punctual))
    summary = await finish(make_drain(instantly))
    outcomes = {element["job_id"]: element["outcome"] for element in ledger.settlements}
    assert outcomes == {late.job_id: "release", punctual.job_id: "done"}
    assert (summary.claimed, summary.released, summary.completed) == (2, 1, 1)
