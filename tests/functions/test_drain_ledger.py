"""The ledger over PostgREST: what it repeats, with which request id, and what it gives up on."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from functions.worker.ledger import TRIES, LedgerRefused, LedgerUnavailable, Renewal, RestLedger
from tests.functions.conftest import Project

Fault = Callable[[httpx.Request], Exception | None]


class Faulty(httpx.AsyncBaseTransport):
    """The network, which loses answers: `after` may raise when the database has done its work."""

    def __init__(self) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.before: Fault = lambda _: None
        self.after: Fault = lambda _: None
        self.bodies: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        if (error := self.before(request)) is not None:
            raise error
        response = await self.inner.handle_async_request(request)
        if (error := self.after(request)) is not None:
            await response.aclose()
            raise error
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


async def no_pause(_: float) -> None:
    """Retries need not be waited for here."""


@pytest.fixture
async def network() -> AsyncIterator[Faulty]:
    yield Faulty()


@pytest.fixture
async def ledger(project: Project, network: Faulty) -> AsyncIterator[RestLedger]:
    project.call("create_queue", "work", {})
    project.call("register_kind", "task", {"queue": "work"})
    async with httpx.AsyncClient(base_url=f"{project.url}/rest/v1", transport=network) as http:
        yield RestLedger(http, SecretStr(project.keys.service_role_key), no_pause)


def once(error: Exception) -> Fault:
    left = [error]
    return lambda _: left.pop() if left else None


async def test_a_job_goes_its_whole_way(ledger: RestLedger, project: Project) -> None:
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


async def test_a_claim_whose_answer_was_lost_is_repeated_with_the_same_request_id(
    ledger: RestLedger, network: Faulty, project: Project
) -> None:
    ids = project.enqueue(*[{"kind": "task"}] * 3)
    network.after = once(httpx.ReadTimeout("lost"))
    claimed = await ledger.claim("work", 2, "worker-1")
    assert len({body["p_request_id"] for body in network.bodies}) == 1 < len(network.bodies)
    assert [str(job.job_id) for job in claimed.jobs] == ids[:2]
    assert [row["status"] for row in project.jobs()] == ["processing", "processing", "pending"]


async def test_two_claims_have_two_request_ids(ledger: RestLedger, network: Faulty) -> None:
    await ledger.claim("work", 1, "worker-1")
    await ledger.claim("work", 1, "worker-1")
    assert len({body["p_request_id"] for body in network.bodies}) == 2


async def test_a_settlement_whose_answer_was_lost_counts_once_and_the_claim_beside_it_too(
    ledger: RestLedger, network: Faulty, project: Project
) -> None:
    project.enqueue(*[{"kind": "task"}] * 2)
    (job,) = (await ledger.claim("work", 1, "worker-1")).jobs
    network.after = once(httpx.ReadTimeout("lost"))
    element = {"job_id": job.job_id, "claim_id": job.claim_id, "outcome": "done", "result": {}}
    settled, claimed = await ledger.settle_and_claim([element], "work", 1, "worker-1")
    assert [(answer.applied, answer.status) for answer in settled] == [("already", "completed")]
    assert len(claimed.jobs) == 1
    assert sorted(row["status"] for row in project.jobs()) == ["completed", "processing"]


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), httpx.ReadError("x")]
)
async def test_a_connection_that_fails_is_tried_a_bounded_number_of_times(error: Exception) -> None:
    network = Faulty()
    network.before = lambda _: error
    async with httpx.AsyncClient(base_url="http://nowhere.test", transport=network) as http:
        with pytest.raises(LedgerUnavailable, match="claim_jobs"):
            await RestLedger(http, SecretStr("key"), no_pause).claim("work", 1, "worker-1")
    assert len(network.bodies) == TRIES


@pytest.mark.parametrize(
    ("status", "body", "tried"),
    [
        (500, {"code": "40P01", "message": "deadlock detected"}, TRIES),
        (500, {"code": "40001", "message": "could not serialize"}, TRIES),
        (500, {"code": "55P03", "message": "lock timeout"}, TRIES),
        (500, {"code": "57014", "message": "statement timeout"}, TRIES),
        (503, {"code": "PGRST002", "message": "schema cache"}, TRIES),
        (504, {"code": "PGRST003", "message": "pool timeout"}, TRIES),
        (502, "<html>Bad gateway</html>", TRIES),
        (429, {"message": "API rate limit exceeded"}, TRIES),
        (400, {"code": "22P05", "message": "unsupported Unicode escape"}, 1),
        (401, {"code": "PGRST301", "message": "No suitable key"}, 1),
        (401, {"message": "Invalid API key"}, 1),
        (404, {"code": "PGRST202", "message": "no function"}, 1),
        (404, {"code": "PT404", "message": "There is no queue.", "details": "unknown_queue", "hint": "Make it."}, 1),
        (500, {"code": "XX000", "message": "internal"}, 1),
    ],
)
async def test_only_what_may_pass_by_itself_is_tried_again(status: int, body: Any, tried: int) -> None:
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(status, json=body) if isinstance(body, dict) else httpx.Response(status, text=body)

    async with httpx.AsyncClient(base_url="http://nowhere.test", transport=httpx.MockTransport(answer)) as http:
        with pytest.raises((LedgerUnavailable, LedgerRefused)) as caught:
            await RestLedger(http, SecretStr("key"), no_pause).due_queues()
    assert len(calls) == tried
    assert isinstance(caught.value, LedgerUnavailable) == (tried > 1)
    if isinstance(caught.value, LedgerRefused):
        assert caught.value.from_engine == (body.get("code") == "PT404")
        assert caught.value.from_engine is False or caught.value.code == "unknown_queue"


async def test_the_engines_refusals_come_with_their_codes(ledger: RestLedger, project: Project) -> None:
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


async def test_credentials_are_an_owners_account_or_none(ledger: RestLedger, project: Project) -> None:
    user = project.sign_up()
    assert await ledger.credentials(UUID(user.id), "tiktok") is None
    project.connect_account(user, "tiktok")
    account = await ledger.credentials(UUID(user.id), "tiktok")
    assert account is not None
    assert (account["external_id"], account["access_token"]) == ("tiktok-1", "canary-token")


async def test_a_kick_without_a_drain_to_call_is_no_error(ledger: RestLedger) -> None:
    assert await ledger.kick("work") is False
