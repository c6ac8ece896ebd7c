"""One line a request, and nothing secret in it."""

import logging

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from devstack.access_log import AccessLog


async def greet(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1000})


APP = Starlette(
    routes=[
        Route("/{path:path}", lambda _: PlainTextResponse("made", 201), methods=["POST"]),
    ]
)


async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("no answer at all")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "devstack.rest"]


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "devstack.rest")


async def test_a_request_is_logged_without_its_query(caplog: pytest.LogCaptureFixture) -> None:
    transport = httpx.ASGITransport(AccessLog(APP, "rest"))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.post("/notes?apikey=secret", headers={"authorization": "Bearer secret"})
        await client.post("/two%0Alines")
    first, second = lines(caplog)
    assert first.startswith("POST /notes 201 ")
    assert second.startswith("POST '/two\\nlines' 404 ")
    assert "secret" not in first + second


async def test_a_socket_is_logged_when_it_opens_and_when_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/socket", "query_string": b"apikey=secret"}
    await AccessLog(greet, "rest")(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    opened, closed = lines(caplog)
    assert opened == "SOCKET /socket opened"
    assert closed.startswith("SOCKET /socket closed ")


async def test_a_fault_is_logged_as_a_request_without_answer(caplog: pytest.LogCaptureFixture) -> None:
    transport = httpx.ASGITransport(AccessLog(fail, "rest"))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(RuntimeError):
            await client.get("/")
    assert lines(caplog)[0].startswith("GET / no answer ")


async def test_nothing_is_measured_while_nobody_wants_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "devstack.rest")
    transport = httpx.ASGITransport(AccessLog(APP, "rest"))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.post("/notes")).status_code == 201
    assert lines(caplog) == []
