"""What the outbox takes for a refusal of the job, and what for trouble on the way, which must lose nothing.

The answers are scripted here; against the real stack see tests/e2e.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from filaviva.backoff import Backoff
from filaviva.errors import FilaVivaError, InvalidRequest
from filaviva.outbox import Outbox, OutboxItem
from filaviva.rpc import Rpc
from tests.unit.phoenix import eventually

URL = "http://127.0.0.1:9"


class Project:
    """Gives its answers one after the other, then takes everything."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.taken: list[Any] = []
        self.refused: list[tuple[Any, str]] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.rpc = Rpc(URL, "anon", http_client=self.http)

    @asynccontextmanager
    async def outbox(self) -> AsyncIterator[Outbox]:
        def note(item: OutboxItem, error: FilaVivaError) -> None:
            self.refused.append((item.job["payload"]["n"], error.code))

        async with Outbox(self.rpc, renew_token=lambda: None, on_refused=note) as outbox:
            outbox._backoff = Backoff(0.01, 0.01)
            yield outbox
        await self.http.aclose()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        jobs = json.loads(request.content)["p_jobs"]
        self.taken += [job["payload"]["n"] for job in jobs]
        enqueued = {"status": "pending", "version": 1, "duplicate": False}
        return httpx.Response(200, json=[{**enqueued, "job_id": str(uuid4())} for _ in jobs])


def job(number: int, **fields: Any) -> dict[str, Any]:
    return {"kind": "noop", "payload": {"n": number}, **fields}


async def flushed(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        await outbox.flushed()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"location": "http://login.example"}, text="<html>sign in to this network</html>"),
        httpx.Response(200, json={"message": "welcome"}),
        httpx.Response(200, json=[{"something": "else"}, {"something": "else"}]),
        httpx.Response(402, json={"message": "exceeds its plan"}),
        httpx.Response(403, text="blocked"),
        httpx.Response(404, text="no such app"),
        httpx.Response(404, json={"code": "PGRST202", "message": "no such function"}),
        RuntimeError("of the client's own"),
    ],
    ids=["portal", "not ours", "another shape", "plan", "wall", "no app", "not installed", "defect"],
)
async def test_trouble_on_the_way_loses_nothing(answer: httpx.Response | Exception) -> None:
    project = Project(answer)
    async with project.outbox() as outbox:
        outbox.put(job(1))
        outbox.put(job(2))
        await flushed(outbox)
        assert outbox.error is None
    assert (project.taken, project.refused) == ([1, 2], [])


async def test_what_holds_the_jobs_is_told() -> None:
    project = Project(*[httpx.Response(404, text="no such app")] * 1000)
    async with project.outbox() as outbox:
        outbox.put(job(1))
        await eventually(lambda: outbox.error)
        assert outbox.error is not None
        assert outbox.error.code == "invalid_url"


async def test_a_limit_is_waited_out_for_as_long_as_it_says() -> None:
    limit = {"code": "PT429", "message": "Too many calls.", "details": "rate_limited", "hint": "Try again in 0.5 s."}
    project = Project(httpx.Response(429, json=limit))
    async with project.outbox() as outbox:
        outbox.put(job(1))
        began = asyncio.get_running_loop().time()
        await flushed(outbox)
        assert asyncio.get_running_loop().time() - began >= 0.5


async def test_a_client_that_is_closed_first_leaves_the_jobs_pending() -> None:
    project = Project()
    async with project.outbox() as outbox:
        await project.http.aclose()
        outbox.put(job(1))
        with pytest.raises(FilaVivaError) as caught:
            await flushed(outbox)
        assert caught.value.code == "outbox_closed"
    assert ([item.job["payload"]["n"] for item in outbox.pending], project.refused) == ([1], [])
    with pytest.raises(FilaVivaError):
        await flushed(outbox)


@pytest.mark.parametrize("wrong", [{"idempotency_key": "mine"}, {"payload": {"n": {(1, 2): 3}}}])
async def test_what_cannot_be_sent_as_it_stands_is_refused_at_once(wrong: dict[str, Any]) -> None:
    async with Project().outbox() as outbox:
        with pytest.raises(InvalidRequest):
            outbox.put(job(1, **wrong))
        assert outbox.pending == ()
