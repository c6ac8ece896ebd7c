"""How a call behaves when the answer does not come, and what callers share."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from filaviva.errors import Conflict, FilaVivaError, InvalidRequest, NotFound, RateLimited, Unavailable
from filaviva.rpc import Rpc

Answer = httpx.Response | Exception


class Wire:
    """The far end of a connection: gives the scripted answers one by one and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def rpc(self, token: str | None = "token") -> Rpc:
        """A caller at the near end."""
        return Rpc("http://project.test", "anon", token, http_client=self.http)


def enqueued() -> httpx.Response:
    return httpx.Response(200, json=[{"job_id": str(uuid4()), "status": "pending", "duplicate": False, "version": 1}])


async def enqueue(rpc: Rpc, **fields: Any) -> Any:
    return await rpc.enqueue_jobs([{"kind": "k", "payload": {}, **fields}])


@pytest.mark.parametrize(
    "failure",
    [
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.ReadTimeout(""),
        lambda: httpx.RemoteProtocolError("gone"),
        lambda: httpx.Response(503, json={"code": "PGRST001", "message": "no database", "details": None, "hint": None}),
        lambda: httpx.Response(502, text="<html>bad gateway</html>"),
    ],
)
async def test_a_read_is_repeated_when_no_answer_comes(failure: Callable[[], Answer]) -> None:
    wire = Wire(failure(), failure(), httpx.Response(200, json=[{"version": 1}]))
    assert await wire.rpc().get_job(uuid4()) == {"version": 1}
    assert len(wire.requests) == 3


async def test_an_enqueue_with_a_key_is_repeated_until_its_answer_comes() -> None:
    wire = Wire(httpx.ReadTimeout("lost"), enqueued())
    assert (await enqueue(wire.rpc(), idempotency_key="a"))[0]["status"] == "pending"
    assert wire.requests[0].content == wire.requests[1].content


async def test_a_write_without_a_key_is_never_sent_twice() -> None:
    wire = Wire(httpx.ReadTimeout(""), httpx.ReadTimeout(""))
    with pytest.raises(Unavailable, match="ReadTimeout"):
        await enqueue(wire.rpc())
    with pytest.raises(Unavailable):
        await wire.rpc().cancel_jobs({"ids": [str(uuid4())]})
    assert len(wire.requests) == 2


async def test_one_job_without_a_key_keeps_the_whole_call_from_being_repeated() -> None:
    wire = Wire(httpx.ReadTimeout(""))
    with pytest.raises(Unavailable):
        await wire.rpc().enqueue_jobs([{"kind": "k", "idempotency_key": "a"}, {"kind": "k"}])
    assert len(wire.requests) == 1


async def test_a_refusal_is_not_repeated_and_carries_the_engines_words() -> None:
    body = {"code": "PT409", "message": "Other body.", "details": "idempotency_conflict", "hint": "Use a new key."}
    wire = Wire(httpx.Response(409, json=body))
    with pytest.raises(Conflict) as caught:
        await enqueue(wire.rpc(), idempotency_key="a")
    assert (caught.value.code, caught.value.status) == ("idempotency_conflict", 409)
    assert len(wire.requests) == 1


async def test_a_rate_limit_is_told_to_the_caller_at_once() -> None:
    body = {"code": "PT429", "message": "Too many.", "details": "too_many_calls", "hint": "Wait 7 seconds."}
    wire = Wire(httpx.Response(429, json=body))
    with pytest.raises(RateLimited) as caught:
        await enqueue(wire.rpc(), idempotency_key="a")
    assert caught.value.retry_after == 7


async def test_callers_share_connections_and_nothing_else() -> None:
    wire = Wire(*(httpx.Response(200, json=[]) for _ in range(3)))
    first, second = wire.rpc("first"), wire.rpc(None)
    await first.select("jobs", where={"id": [1, 2]})
    await first.aclose()
    await second.select("jobs", columns="id,status", where={"status": "failed"})
    second.set_token("second")
    await second.select("jobs", where={})
    spoken = [request.headers["authorization"] for request in wire.requests]
    assert spoken == ["Bearer first", "Bearer anon", "Bearer second"]
    assert {request.headers["apikey"] for request in wire.requests} == {"anon"}
    assert [str(request.url.query, "ascii") for request in wire.requests] == [
        "select=%2A&id=in.%281%2C2%29",
        "select=id%2Cstatus&status=eq.failed",
        "select=%2A",
    ]


async def test_a_selection_has_bounds_an_order_and_a_length() -> None:
    wire = Wire(httpx.Response(200, json=[]))
    await wire.rpc().select(
        "jobs",
        where={"resolved_at": None, "queue": "a,b"},
        above={"created_at": "2026-01-01T00:00:00+00:00"},
        below={"seq": 7},
        order="seq",
        descending=True,
        limit=3,
    )
    assert sorted(wire.requests[0].url.params.multi_items()) == [
        ("created_at", "gt.2026-01-01T00:00:00+00:00"),
        ("limit", "3"),
        ("order", "seq.desc"),
        ("queue", "eq.a,b"),
        ("resolved_at", "is.null"),
        ("select", "*"),
        ("seq", "lt.7"),
    ]


async def test_a_change_is_never_sent_twice_and_a_count_is() -> None:
    counted = {"matched": 1, "changed": 0, "job_ids": [], "cursor": None}
    wire = Wire(*(httpx.ReadTimeout("") for _ in range(4)), httpx.Response(200, json=counted))
    rpc = wire.rpc()
    for change in (
        rpc.redrive_jobs({"queue": "a"}, dry_run=False),
        rpc.prune_jobs({"queue": "a"}),
        rpc.purge_queue("a", dry_run=False),
    ):
        with pytest.raises(Unavailable):
            await change
    assert len(wire.requests) == 3
    assert await rpc.redrive_jobs({"queue": "a"}, dry_run=True) == counted
    assert len(wire.requests) == 5


async def test_an_answer_that_is_not_the_apis_is_named_as_such() -> None:
    wire = Wire(httpx.Response(200, text="<html>sign in to the hotel network</html>"))
    with pytest.raises(FilaVivaError) as caught:
        await wire.rpc().get_job(uuid4())
    assert caught.value.code == "unexpected_answer"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(404, text="<html>not found</html>"),
        lambda: httpx.Response(404, json={"detail": "Not Found"}),
        lambda: httpx.Response(404, json={"code": "NOT_FOUND", "message": "no such function"}),
        lambda: httpx.Response(404, json=["no"]),
        lambda: httpx.Response(404),
        lambda: httpx.Response(405, json={"message": "no such method"}),
        lambda: httpx.Response(301, headers={"Location": "https://elsewhere.test"}),
        lambda: httpx.Response(404, json={"code": "PGRST125", "message": "Invalid path specified in request URL"}),
    ],
)
async def test_a_wrong_url_is_named_as_such_and_not_tried_again(answer: Callable[[], Answer]) -> None:
    wire = Wire(answer())
    with pytest.raises(InvalidRequest, match="Check the URL") as caught:
        await wire.rpc().get_job(uuid4())
    assert caught.value.code == "invalid_url"
    assert len(wire.requests) == 1


async def test_a_404_of_the_engine_is_not_taken_for_a_wrong_url() -> None:
    body = {"code": "PT404", "message": "No such queue.", "details": "unknown_queue", "hint": "Make it."}
    with pytest.raises(NotFound) as caught:
        await enqueue(Wire(httpx.Response(404, json=body)).rpc())
    assert (caught.value.code, caught.value.hint) == ("unknown_queue", "Make it.")


async def test_a_closed_client_says_that_it_is_closed() -> None:
    rpc = Rpc("http://project.test", "anon")
    await rpc.aclose()
    with pytest.raises(FilaVivaError) as caught:
        await rpc.get_job(uuid4())
    assert caught.value.code == "client_closed"
