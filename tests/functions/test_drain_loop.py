"""The loop of a drain, against a ledger that answers what each test wrote down."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, JobError, Outcome, Reject, Retry, Snooze
from functions.jobs.registry import HandlerFunction
from functions.worker import drain as drain_module
from functions.worker import renewals as renewals_module
from functions.worker.drain import Drain
from functions.worker.ledger import LedgerRefused, LedgerUnavailable, Renewal, Renewed, Settlement
from functions.worker.summary import Summary
from tests.functions.conftest import Logs, make_settings, wait_until
from tests.functions.scripted import (
    AnyPayload,
    ScriptedLedger,
    claimed,
    claimed_job,
    registration,
    surroundings,
)

MakeDrain = Callable[..., Drain]


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


@pytest.fixture
def stopping() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def make(
    ledger: ScriptedLedger, logs: Logs, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeDrain]:
    async with httpx.AsyncClient() as http:

        def build(run: HandlerFunction, *, claims: bool = True, **settings: Any) -> Drain:
            monkeypatch.setitem(registry._registrations, "test", registration("test", run))
            around = surroundings(
                ledger, make_settings(**{"drain_linger_seconds": 0, **settings}), logs.logger, http, stopping
            )
            return Drain("q", "worker-1", around, Summary(), claims=claims)

        yield build


async def instantly(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    return Done({"attempt": job.attempt})


class Gate:
    """A handler that waits until it is let through, and counts how many wait at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1
        return Done()


def jobs(count: int, **changes: Any) -> list[ClaimedJob]:
    return [claimed_job(number, **changes) for number in range(1, count + 1)]


async def finish(drain: Drain) -> Summary:
    async with asyncio.timeout(10):
        await drain.run()
    return drain.summary


async def test_an_empty_queue_is_left_at_once_when_it_may_not_linger(make: MakeDrain, ledger: ScriptedLedger) -> None:
    summary = await finish(make(instantly))
    assert ledger.names() == ["claim"]
    assert summary.to_json() | {"duration_ms": 0} == {
        "claimed": 0, "completed": 0, "retried": 0, "snoozed": 0, "failed": 0, "unconfirmed": 0, "released": 0,
        "remaining": 0, "duration_ms": 0, "chained": False,
    }  # fmt: skip


async def test_jobs_are_run_and_settled_together_and_settling_rides_on_the_next_claim(
    make: MakeDrain, ledger: ScriptedLedger
) -> None:
    ledger.claims.extend([claimed(*jobs(3)), claimed(*jobs(2))])
    summary = await finish(make(instantly))
    assert (summary.claimed, summary.completed) == (5, 5)
    assert [len(batch) for batch in ledger.batches] == [3, 2]
    assert ledger.names()[:3] == ["claim", "settle_and_claim", "settle_and_claim"]
    assert "settle" not in ledger.names()


async def test_no_more_is_claimed_than_there_are_free_places(make: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(make(gate, drain_concurrency=3)))
    await wait_until(lambda: len([call for call in ledger.calls if call[0] == "claim"]) >= 2)
    gate.open.set()
    await running
    assert [limit for name, limit in ledger.calls if name == "claim"][:2] == [3, 1]


async def test_a_full_house_claims_nothing_until_a_place_is_free(make: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(make(gate, drain_concurrency=2)))
    await wait_until(lambda: gate.inside == 2)
    await asyncio.sleep(drain_module.FIRST_PAUSE_SECONDS * 3)  # long enough for a poll, if there were one
    assert ledger.names() == ["claim"]
    gate.open.set()
    await running
    assert ledger.calls[1] == ("settle_and_claim", 2)


async def test_a_job_that_ends_is_settled_while_others_still_run(make: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    slow, quick = claimed_job(1, payload={"slow": True}), claimed_job(2)

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return await gate(job, payload, ctx) if job.payload else Done()

    ledger.claims.append(claimed(slow, quick))
    running = asyncio.create_task(finish(make(run)))
    await wait_until(lambda: len(ledger.settlements) == 1)
    assert ledger.settlements[0]["job_id"] == quick.job_id and gate.inside == 1
    gate.open.set()
    assert (await running).completed == 2


async def test_it_lingers_and_polls_at_growing_pauses(make: MakeDrain, ledger: ScriptedLedger) -> None:
    started = asyncio.get_running_loop().time()
    await finish(make(instantly, drain_linger_seconds=0.6))
    assert 0.6 <= asyncio.get_running_loop().time() - started < 2
    assert 4 <= len(ledger.names()) <= 8  # at 0, 75, 188, 357 and 610 ms


async def test_a_job_that_appears_while_lingering_is_run_and_lingering_begins_anew(
    make: MakeDrain, ledger: ScriptedLedger
) -> None:
    ledger.claims.extend([claimed(), claimed(), claimed(claimed_job())])
    summary = await finish(make(instantly, drain_linger_seconds=0.3))
    assert summary.completed == 1
    assert len(ledger.names()) > 4


async def test_it_wakes_when_the_next_job_is_due(
    make: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    ledger.claims.extend([claimed()] * 6 + [claimed(next_due_in_ms=60), claimed(claimed_job())])
    moments: list[float] = []

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        moments.append(asyncio.get_running_loop().time())
        return Done()

    drain = make(run, drain_linger_seconds=3)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: len(ledger.names()) == 7)
    asked = asyncio.get_running_loop().time()
    await wait_until(lambda: bool(moments))
    stopping.set()
    await running
    assert moments[0] - asked < 0.25  # the pause had grown to half a second by then


async def test_a_nudge_makes_it_look_at_once(make: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event) -> None:
    drain = make(instantly, drain_linger_seconds=2)
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
    make: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = make(instantly, drain_linger_seconds=2)
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
    make: MakeDrain, ledger: ScriptedLedger, state: str
) -> None:
    ledger.claims.append(claimed(state=state))
    drain = make(instantly, drain_linger_seconds=5)
    await finish(drain)
    assert ledger.names() == ["claim"]
    assert not drain.left_work


async def test_a_busy_queue_is_asked_again_soon(make: MakeDrain, ledger: ScriptedLedger) -> None:
    ledger.claims.extend([claimed(state="busy")] * 8 + [claimed(claimed_job())])
    started = asyncio.get_running_loop().time()
    assert (await finish(make(instantly, drain_linger_seconds=5, drain_budget_seconds=1))).completed == 1
    assert asyncio.get_running_loop().time() - started < 3


async def test_after_its_budget_it_claims_no_more_but_lets_jobs_finish(make: MakeDrain, ledger: ScriptedLedger) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(1)))
    drain = make(gate, drain_budget_seconds=1, drain_linger_seconds=5)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: not drain.accepts)
    claims = ledger.names().count("claim")
    gate.open.set()
    assert (await running).completed == 1
    assert ledger.names().count("claim") == claims and ledger.names()[-1] == "settle"
    assert drain.left_work


async def test_the_numbers_tell_each_outcome_apart(make: MakeDrain, ledger: ScriptedLedger, logs: Logs) -> None:
    error = JobError("some_code", "Some message.")
    outcomes: dict[str, Outcome] = {
        "done": Done(),
        "retry": Retry(error),
        "snooze": Snooze(timedelta(seconds=1)),
        "reject": Reject(error),
    }

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return outcomes[job.payload["end"]]

    ledger.claims.append(claimed(*[claimed_job(n, payload={"end": end}) for n, end in enumerate(outcomes)]))
    summary = await finish(make(run))
    assert (summary.completed, summary.retried, summary.snoozed, summary.failed) == (1, 1, 1, 1)
    failed = logs.find("Job failed")
    assert [line["error_code"] for line in failed] == ["some_code", "some_code"]
    assert [line["status"] for line in failed] == ["retrying", "failed"]
    assert all(line["job_id"] and line["correlation_id"] == "order-1" and line["attempt"] == 1 for line in failed)


async def test_publications_leave_the_log_lines_of_their_design_document(
    make: MakeDrain, ledger: ScriptedLedger, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return Done() if job.claim_id == 1 else Reject(JobError("banned", "No."))

    drain = make(run)
    monkeypatch.setitem(registry._registrations, "publish_post", registration("publish_post", run))
    ledger.claims.append(claimed(*jobs(2, kind="publish_post")))
    await finish(drain)
    assert len(logs.find("[Process Publication API] Job completed successfully")) == 1
    assert len(logs.find("[Process Publication API] Job failed")) == 1


# Settlements that the database refuses -------------------------------------------------------------


async def test_one_bad_element_does_not_keep_its_neighbours_from_being_settled(
    make: MakeDrain, ledger: ScriptedLedger
) -> None:
    batch = jobs(7)
    bad = batch[4].job_id

    def refuse(results: Sequence[Settlement]) -> Exception | None:
        if any(element["job_id"] == bad and element["outcome"] == "done" for element in results):
            return LedgerRefused(400, "22P05", "unsupported Unicode escape sequence")
        return None

    ledger.refuse_settle = refuse
    ledger.claims.append(claimed(*batch))
    summary = await finish(make(instantly))
    ends = {element["job_id"]: element for element in ledger.settlements}
    assert ends[bad]["outcome"] == "reject" and ends[bad]["error"]["code"] == "invalid_result"
    assert (summary.completed, summary.failed) == (6, 1)
    assert len(ledger.settlements) == 7


async def test_a_bad_element_past_its_commit_is_unconfirmed(make: MakeDrain, ledger: ScriptedLedger) -> None:
    ledger.refuse_settle = lambda results: (
        LedgerRefused(400, "22P05", "no") if results[0]["outcome"] == "done" else None
    )
    ledger.claims.append(claimed(claimed_job(committed=True)))
    await finish(make(instantly))
    assert ledger.outcomes == ["unconfirmed"]


async def test_a_database_that_vanishes_while_settling_ends_the_drain_with_its_error(
    make: MakeDrain, ledger: ScriptedLedger, logs: Logs
) -> None:
    ledger.refuse_settle = lambda _: LedgerUnavailable("settle_jobs: ConnectError")
    ledger.claims.append(claimed(*jobs(2)))
    with pytest.raises(LedgerUnavailable):
        await finish(make(instantly))
    assert logs.find("the drain broke off")[0]["unsettled"] == 2


async def test_what_could_not_be_settled_is_sent_again_when_the_next_job_ends(
    make: MakeDrain, ledger: ScriptedLedger
) -> None:
    gate = Gate()
    failures = [LedgerUnavailable("settle_jobs: ConnectError")]
    ledger.refuse_settle = lambda _: failures.pop() if failures else None

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return await gate(job, payload, ctx) if job.claim_id == 1 else Done()

    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(make(run)))
    await wait_until(lambda: not failures)
    gate.open.set()
    with pytest.raises(LedgerUnavailable):
        await running
    assert [len(batch) for batch in ledger.batches] == [2]


async def test_an_unknown_queue_is_the_callers_error(make: MakeDrain, ledger: ScriptedLedger) -> None:
    ledger.claims.append(LedgerRefused(404, "unknown_queue", "There is no queue.", from_engine=True))
    with pytest.raises(LedgerRefused, match="unknown_queue"):
        await finish(make(instantly))


async def test_a_fault_of_the_worker_itself_leaves_running_jobs_their_end(
    make: MakeDrain, ledger: ScriptedLedger
) -> None:
    gate = Gate()
    ledger.claims.extend([claimed(claimed_job()), RuntimeError("a bug")])
    running = asyncio.create_task(finish(make(gate)))
    await wait_until(lambda: not ledger.claims)
    gate.open.set()
    with pytest.raises(RuntimeError, match="a bug"):
        await running
    assert ledger.outcomes == ["done"]


# Graceful stop -------------------------------------------------------------------------------------


async def test_told_to_stop_it_claims_no_more_and_lets_jobs_finish(
    make: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    gate = Gate()
    ledger.claims.append(claimed(*jobs(2)))
    drain = make(gate, drain_linger_seconds=5)
    running = asyncio.create_task(finish(drain))
    await wait_until(lambda: gate.inside == 2)
    stopping.set()
    await wait_until(lambda: not drain.accepts)
    gate.open.set()
    assert (await running).completed == 2
    assert ledger.names()[-1] == "settle"
    assert drain.left_work


async def test_after_the_grace_it_hands_back_what_still_runs(
    make: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event
) -> None:
    ledger.claims.append(claimed(*jobs(2)))
    gate = Gate()
    running = asyncio.create_task(finish(make(gate, shutdown_grace_seconds=0.05)))
    await wait_until(lambda: gate.inside == 2)
    stopping.set()
    summary = await running
    assert ledger.outcomes == ["release", "release"]
    assert summary.released == 2


async def test_jobs_that_arrive_after_the_word_to_stop_are_handed_back_unstarted(
    make: MakeDrain, ledger: ScriptedLedger, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
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
    summary = await finish(make(run))
    assert not started
    assert ledger.outcomes == ["release"] * 3
    assert (summary.claimed, summary.released) == (3, 3)


# Leases --------------------------------------------------------------------------------------------


async def test_all_leases_of_a_drain_are_renewed_in_one_call_each_third_of_their_length(
    make: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.worker.attempt._lease_seconds", lambda job, now: 0.9)
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.01)
    gate = Gate()
    ledger.claims.append(claimed(*jobs(3)))
    running = asyncio.create_task(finish(make(gate)))
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
    make: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.05)
    seen = asyncio.Event()

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        for percent in (10, 20, 30):
            ctx.progress(percent, f"{percent} %")
        await seen.wait()
        return Done()

    ledger.claims.append(claimed(claimed_job()))
    running = asyncio.create_task(finish(make(run)))
    await wait_until(lambda: bool(ledger.renewals))
    assert [(lease.progress, lease.note) for lease in ledger.renewals[0]] == [(30, "30 %")]
    seen.set()
    await running
    assert len(ledger.renewals) == 1


async def test_a_wish_to_cancel_reaches_the_handler_and_a_lost_claim_ends_it(
    make: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.worker.attempt._lease_seconds", lambda job, now: 0.03)
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.01)
    unwanted, lost = jobs(2)

    def renew(lease: Renewal) -> Renewed:
        return Renewed(job_id=lease.job_id, stale=lease.job_id == lost.job_id, cancel_requested=True)

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        if job.job_id == lost.job_id:
            await asyncio.Event().wait()
        await ctx.cancelled.wait()
        return Done({"stopped": True})

    ledger.renew = renew
    ledger.claims.append(claimed(unwanted, lost))
    await finish(make(run))
    assert [element["job_id"] for element in ledger.settlements] == [unwanted.job_id]


async def test_a_renewal_that_fails_is_tried_again(
    make: MakeDrain, ledger: ScriptedLedger, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr("functions.worker.attempt._lease_seconds", lambda job, now: 0.03)
    monkeypatch.setattr(renewals_module, "LEAST_PAUSE_SECONDS", 0.01)
    gate = Gate()

    def renew(lease: Renewal) -> Renewed:
        if len(ledger.renewals) < 3:
            raise LedgerUnavailable("extend_leases: ReadTimeout")
        return Renewed(job_id=lease.job_id)

    ledger.renew = renew
    ledger.claims.append(claimed(claimed_job()))
    running = asyncio.create_task(finish(make(gate)))
    await wait_until(lambda: len(ledger.renewals) >= 4)
    gate.open.set()
    assert (await running).completed == 1
    assert len(logs.find("leases could not be renewed")) == 2
