"""What every ledger does, held against the real engine: one suite for both of them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from functions.worker.ledger import EngineLedger, LedgerRefused, LedgerUnavailable, Renewal
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.rest_ledger import RestLedger
from tests.functions.conftest import BOTH_LEDGERS, Project

pytestmark = BOTH_LEDGERS


async def no_pause(_: float) -> None:
    """Retries need not be waited for here."""


@pytest.fixture
async def ledger(project: Project, carrier: str) -> AsyncIterator[EngineLedger]:
    project.call("create_queue", "work", {})
    project.call("register_kind", "task", {"queue": "work"})
    if carrier == "postgres":
        async with PostgresLedger(project.database.dsn(), no_pause) as direct:
            yield direct
    else:
        async with httpx.AsyncClient(base_url=f"{project.url}/rest/v1") as http:
            yield RestLedger(http, SecretStr(project.keys.service_role_key), no_pause)


@pytest.fixture
def lose_one_answer(ledger: EngineLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call does its work, and its answer is lost on the way."""
    send, lost = ledger._send, list[str]()

    async def lossy(function: str, packed: Any) -> bytes | str:
        answer = await send(function, packed)
        if not lost:
            lost.append(function)
            raise LedgerUnavailable(f"{function}: lost")
        return answer

    monkeypatch.setattr(ledger, "_send", lossy)


async def test_a_job_goes_its_whole_way(ledger: EngineLedger, project: Project) -> None:
    (job_id,) = project.enqueue({"kind": "task", "payload": {"n": 1}, "correlation_id": "order-1"})
    assert await ledger.due_queues() == ["work"]
    claimed = await ledger.claim("work", 10, "worker-1")
    (job,) = claimed.jobs
    assert (str(job.job_id), job.payload, job.attempt, job.mode) == (job_id, {"n": 1}, 1, "run")
    assert (job.correlation_id, job.committed, job.checkpoint) == ("order-1", False, None)

    (renewed,) = await ledger.extend([Renewal(job.job_id, job.claim_id, 40, "nearly")])
    assert not renewed.stale and not renewed.cancel_requested
    assert (project.job(job_id)["progress"], project.job(job_id)["progress_note"]) == (40, "nearly")
    (lost,) = await ledger.extend([Renewal(job.job_id, job.claim_id + 1)])
    assert lost.stale

    await ledger.commit(job.job_id, job.claim_id, {"step": 1}, reconcilable=True, extend_seconds=30)
    element = {"job_id": job.job_id, "claim_id": job.claim_id, "outcome": "done", "result": {"id": 9}}
    settled, after = await ledger.settle_and_claim([element], "work", 10, "worker-1")
    assert [(answer.applied, answer.status) for answer in settled] == [("ok", "completed")]
    assert (after.jobs, after.state) == ((), "empty")
    assert project.job(job_id)["result"] == {"id": 9}
    (again,) = await ledger.settle([element])
    assert again.applied == "already"


async def test_a_claim_whose_answer_was_lost_is_repeated_and_takes_no_others(
    ledger: EngineLedger, lose_one_answer: None, project: Project
) -> None:
    ids = project.enqueue(*[{"kind": "task"}] * 3)
    claimed = await ledger.claim("work", 2, "worker-1")
    assert [str(job.job_id) for job in claimed.jobs] == ids[:2]
    assert [row["status"] for row in project.jobs()] == ["processing", "processing", "pending"]


async def test_a_settlement_whose_answer_was_lost_counts_once_and_the_claim_beside_it_too(
    ledger: EngineLedger, project: Project, request: pytest.FixtureRequest
) -> None:
    project.enqueue(*[{"kind": "task"}] * 2)
    (job,) = (await ledger.claim("work", 1, "worker-1")).jobs
    request.getfixturevalue("lose_one_answer")
    element = {"job_id": job.job_id, "claim_id": job.claim_id, "outcome": "done", "result": {}}
    settled, claimed = await ledger.settle_and_claim([element], "work", 1, "worker-1")
    assert [(answer.applied, answer.status) for answer in settled] == [("already", "completed")]
    assert len(claimed.jobs) == 1
    assert sorted(row["status"] for row in project.jobs()) == ["completed", "processing"]


async def test_the_engines_refusals_come_with_their_codes(ledger: EngineLedger, project: Project) -> None:
    with pytest.raises(LedgerRefused) as unknown:
        await ledger.claim("nobody", 1, "worker-1")
    assert (unknown.value.status, unknown.value.code) == (404, "unknown_queue")
    with pytest.raises(LedgerRefused) as gone:
        await ledger.claim_one(uuid4(), "worker-1")
    assert (gone.value.status, gone.value.code) == (404, "unknown_job")
    (job_id,) = project.enqueue({"kind": "task"})
    await ledger.claim_one(UUID(job_id), "worker-1")
    with pytest.raises(LedgerRefused) as running:
        await ledger.claim_one(UUID(job_id), "worker-1")
    assert (running.value.status, running.value.code) == (409, "not_claimable")
    with pytest.raises(LedgerRefused) as stale:
        await ledger.commit(UUID(job_id), 0, {}, reconcilable=False, extend_seconds=30)
    assert (stale.value.status, stale.value.code) == (409, "stale_claim")


async def test_credentials_are_an_owners_account_or_none(ledger: EngineLedger, project: Project) -> None:
    user = project.sign_up()
    assert await ledger.credentials(UUID(user.id), "tiktok") is None
    project.connect_account(user, "tiktok")
    account = await ledger.credentials(UUID(user.id), "tiktok")
    assert account is not None
    assert (account["external_id"], account["access_token"]) == ("tiktok-1", "canary-token")


async def test_a_kick_without_a_drain_to_call_is_no_error(ledger: EngineLedger) -> None:
    assert await ledger.kick("work") is False


async def test_the_due_jobs_of_queues_are_counted(ledger: EngineLedger, project: Project) -> None:
    project.call("create_queue", "other", {})
    assert await ledger.due_jobs(["work", "other"]) == 0
    later = {"scheduled_at": "2999-01-01T00:00:00Z"}
    project.enqueue(*[{"kind": "task"}] * 3, {"kind": "task", "priority": 5}, {"kind": "task", **later})
    assert await ledger.due_jobs(["work", "other"]) == 4
    await ledger.claim("work", 2, "worker-1")
    assert (await ledger.due_jobs(["work"]), await ledger.due_jobs(["other"])) == (2, 0)


async def test_how_long_jobs_usually_take_is_what_all_but_the_slowest_took(
    ledger: EngineLedger, project: Project
) -> None:
    assert await ledger.usual_seconds("work") == 0
    await ledger.record_runs({"task": [0, 0, 0, 95, 0, 0, 0, 0, 0, 0, 5], "unknown": [1]})
    assert await ledger.usual_seconds("work") == 0.008
    await ledger.record_runs({"task": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]})
    assert await ledger.usual_seconds("work") == 1.024
    await ledger.record_runs({"task": [1_000_000]})  # what was long ago fades
    assert await ledger.usual_seconds("work") == 0.001


async def test_a_worker_is_told_its_queues_and_refused_unknown_ones(ledger: EngineLedger, project: Project) -> None:
    every = await ledger.announce("worker-1", None)
    assert "work" in every and len(every) > 1
    assert await ledger.announce("worker-1", ["work"]) == ("work",)
    with pytest.raises(LedgerRefused) as unknown:
        await ledger.announce("worker-1", ["work", "nobody"])
    assert (unknown.value.status, unknown.value.code) == (404, "unknown_queue")
    await ledger.dismiss("worker-1")


async def test_who_waits_for_a_lock_gives_way_and_tries_again(ledger: EngineLedger, project: Project) -> None:
    project.enqueue({"kind": "task"})
    (job,) = (await ledger.claim("work", 1, "worker-1")).jobs
    tried: list[float] = []

    async def let_go(_: float) -> None:
        tried.append(_)
        holder.rollback()

    ledger._pause = {"sleep": let_go}
    with project.database.connect("supabase_admin") as holder:
        holder.autocommit = False
        holder.execute("select from public.jobs for update")
        (settled,) = await ledger.settle([{"job_id": job.job_id, "claim_id": job.claim_id, "outcome": "done"}])
    assert (settled.applied, len(tried)) == ("ok", 1)
