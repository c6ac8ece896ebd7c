"""The ledger over PostgREST: what it repeats, with which request id, and what it gives up on."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from functions.worker.ledger import TRIES, LedgerRefused, LedgerUnavailable
from functions.worker.rest_ledger import RestLedger
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
