"""What a drain tells of its jobs, and what it does when the database refuses to hear it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Hold, JobError, Outcome, Reject, Retry, Snooze
from functions.worker.ledger import LedgerRefused, LedgerUnavailable, Settlement
from tests.functions.conftest import Logs, wait_until
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
    registration,
)


async def test_the_numbers_tell_each_outcome_apart(make_drain: MakeDrain, ledger: ScriptedLedger, logs: Logs) -> None:
    error = JobError("some_code", "Some message.")
    outcomes: dict[str, Outcome] = {
        "done": Done(),
        "retry": Retry(error),
        "snooze": Snooze(timedelta(seconds=1)),
        "hold": Hold(error, 60, "some_limit"),
        "reject": Reject(error),
    }

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return outcomes[job.payload["end"]]

    ledger.claims.append(claimed(*[claimed_job(n, payload={"end": end}) for n, end in enumerate(outcomes)]))
    summary = await finish(make_drain(run))
    assert (summary.completed, summary.retried, summary.snoozed, summary.failed) == (1, 1, 2, 1)
    failed = logs.find("Job failed")
    assert [line["error_code"] for line in failed] == ["some_code", "some_code"]
    assert [line["status"] for line in failed] == ["retrying", "failed"]
    assert [line["error_code"] for line in logs.find("Job waits")] == ["some_code"]
    assert all(line["job_id"] and line["correlation_id"] == "order-1" and line["attempt"] == 1 for line in failed)


async def test_publications_leave_the_log_lines_of_their_design_document(
    make_drain: MakeDrain, ledger: ScriptedLedger, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return Done() if job.claim_id == 1 else Reject(JobError("banned", "No."))

    drain = make_drain(run)
    monkeypatch.setitem(registry._registrations, "publish_post", registration("publish_post", run))
    ledger.claims.append(claimed(*jobs(2, kind="publish_post")))
    await finish(drain)
    assert len(logs.find("[Process Publication API] Job completed successfully")) == 1
    assert len(logs.find("[Process Publication API] Job failed")) == 1


async def test_one_bad_element_does_not_keep_its_neighbours_from_being_settled(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    batch = jobs(7)
    bad = batch[4].job_id

    def refuse(results: Sequence[Settlement]) -> Exception | None:
        if any(element["job_id"] == bad and element["outcome"] == "done" for element in results):
            return LedgerRefused(400, "22P05", "unsupported Unicode escape sequence")
        return None

    ledger.refuse_settle = refuse
    ledger.claims.append(claimed(*batch))
    summary = await finish(make_drain(instantly))
    ends = {element["job_id"]: element for element in ledger.settlements}
    assert ends[bad]["outcome"] == "reject" and ends[bad]["error"]["code"] == "invalid_result"
    assert (summary.completed, summary.failed) == (6, 1)
    assert len(ledger.settlements) == 7


async def test_a_bad_element_past_its_commit_is_unconfirmed(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    ledger.refuse_settle = lambda results: (
        LedgerRefused(400, "22P05", "no") if results[0]["outcome"] == "done" else None
    )
    ledger.claims.append(claimed(claimed_job(committed=True)))
    await finish(make_drain(instantly))
    assert ledger.outcomes == ["unconfirmed"]


async def test_a_database_that_vanishes_while_settling_ends_the_drain_with_its_error(
    make_drain: MakeDrain, ledger: ScriptedLedger, logs: Logs
) -> None:
    ledger.refuse_settle = lambda _: LedgerUnavailable("settle_jobs: ConnectError")
    ledger.claims.append(claimed(*jobs(2)))
    with pytest.raises(LedgerUnavailable):
        await finish(make_drain(instantly))
    assert logs.find("the drain broke off")[0]["unsettled"] == 2


async def test_what_could_not_be_settled_is_sent_again_when_the_next_job_ends(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    gate = Gate()
    failures = [LedgerUnavailable("settle_jobs: ConnectError")]
    ledger.refuse_settle = lambda _: failures.pop() if failures else None

    async def run(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
        return await gate(job, payload, ctx) if job.claim_id == 1 else Done()

    ledger.claims.append(claimed(*jobs(2)))
    running = asyncio.create_task(finish(make_drain(run)))
    await wait_until(lambda: not failures)
    gate.open.set()
    with pytest.raises(LedgerUnavailable):
        await running
    assert [len(batch) for batch in ledger.batches] == [2]


async def test_an_unknown_queue_is_the_callers_error(make_drain: MakeDrain, ledger: ScriptedLedger) -> None:
    ledger.claims.append(LedgerRefused(404, "unknown_queue", "There is no queue.", from_engine=True))
    with pytest.raises(LedgerRefused, match="unknown_queue"):
        await finish(make_drain(instantly))


async def test_a_fault_of_the_worker_itself_leaves_running_jobs_their_end(
    make_drain: MakeDrain, ledger: ScriptedLedger
) -> None:
    gate = Gate()
    ledger.claims.extend([claimed(claimed_job()), RuntimeError("a bug")])
    running = asyncio.create_task(finish(make_drain(gate)))
    await wait_until(lambda: not ledger.claims)
    gate.open.set()
    with pytest.raises(RuntimeError, match="a bug"):
        await running
    assert ledger.outcomes == ["done"]
