"""Oversized and hostile bodies: each one gets a clear 4xx, nothing is kept of it, and the process stays well."""

import asyncio
import contextlib
import gzip
import json
import resource
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.cluster import free_port
from functions.web.bodies import MAX_BODY_BYTES, check, read_object
from functions.web.endpoint import Call, endpoint
from functions.web.services import Services
from tests.functions.conftest import Logs, make_settings, wait_until

JSON = {"Content-Type": "application/json"}


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    ages: list[int] = []


@endpoint("POST")
async def echo(call: Call) -> Response:
    return JSONResponse(await read_object(call.request))


@endpoint("POST")
async def greet(call: Call) -> Response:
    person = check(Person, await read_object(call.request, required=False))
    return JSONResponse({"hello": person.name})


@pytest.fixture
async def client(logs: Logs) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/greet", greet, methods=["POST"])])
    services = app.state.services = Services(make_settings(), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
    await services.close()


async def refused(client: httpx.AsyncClient, status: int, **request: Any) -> dict[str, Any]:
    """The error of a request that must be refused with `status`, in the one shape."""
    answer = await client.post("/echo", **{"headers": JSON, **request})
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "details"}
    assert error["code"] and error["message"] and error["hint"]
    return error


async def test_an_object_arrives_as_it_was_sent(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {
        "text": "açaí 🍇 \x7f",
        "numbers": [0, -1, 1.5, 2**63, -(2**63)],
        "nothing": None,
        "deep": {"er": [[]]},
    }
    answer = await client.post("/echo", json=body)
    assert (answer.status_code, answer.json()) == (200, body)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_content_types_may_have_parameters(client: httpx.AsyncClient, content_type: str) -> None:
    assert (await client.post("/echo", content="{}", headers={"Content-Type": content_type})).status_code == 200


HOSTILE = {
    "empty": b"",
    "spaces only": b"  \n",
    "not JSON": b"{name: 1}",
    "cut off": b'{"a": [1, 2',
    "two values": b"{} {}",
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a float beyond range": b'{"a": 1e400}',
    "an integer of 400 digits": b'{"a": 1' + b"0" * 400 + b"}",
    "an integer of 200,000 digits": b'{"a": ' + b"9" * 200_000 + b"}",
    "an integer of 65 bits": b'{"a": 18446744073709551616}',
    "a repeated key": b'{"a": 1, "a": 2}',
    "a repeated key further down": b'{"b": [{"a": 1, "a": 2}]}',
    "a repeated key in another spelling": b'{"a": 1, "\\u0061": 2}',
    "a repeated key that is half a surrogate pair": b'{"\\ud800": 1, "\\ud800": 2}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "half a surrogate pair in a key": b'{"\\udfff": 1}',
    "NUL in a value": b'{"a": "x\\u0000y"}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "UTF-16": json.dumps({"a": 1}).encode("utf-16"),
    "UTF-8 with a byte order mark": b"\xef\xbb\xbf{}",
    "a control character": b'{"a": "\x01"}',
    "100,000 levels": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 open levels": b"[" * 100_000,
    "65 levels": b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
    "comments": b"{} // comment",
    "single quotes": b"{'a': 1}",
    "a comma too much": b'{"a": 1,}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_body_is_refused_quickly(client: httpx.AsyncClient, logs: Logs, body: bytes) -> None:
    started = time.process_time()  # our own work, whatever else the machine does
    error = await refused(client, 400, content=body)
    assert time.process_time() - started < 0.2
    assert error["code"] == "invalid_json"
    assert not [line for line in logs.lines if line["level"] == "error"]


async def test_64_levels_are_not_too_many(client: httpx.AsyncClient) -> None:
    body = '{"a":' + "[" * 62 + "]" * 62 + "}"
    assert (await client.post("/echo", content=body, headers=JSON)).status_code == 200


async def test_many_keys_are_no_trouble(client: httpx.AsyncClient) -> None:
    body = json.dumps({f"k{number}": 1 for number in range(20_000)})
    assert len(body) < MAX_BODY_BYTES
    started = time.perf_counter()
    assert (await client.post("/echo", content=body, headers=JSON)).status_code == 200
    assert time.perf_counter() - started < 1


async def test_the_place_of_a_bad_character_is_named(client: httpx.AsyncClient) -> None:
    error = await refused(client, 400, content=b'{"jobs": [{"payload": {"text": "\\u0000"}}]}')
    assert error["details"] == {"field": "jobs.0.payload.text"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"%s": "\\u0000"}',
        b'{"%s": 1, "%s": 2}',
        b'{"name": "x", "%s": 1}',
    ],
)
async def test_a_long_key_is_not_repeated_whole(client: httpx.AsyncClient, logs: Logs, body: bytes) -> None:
    answer = await client.post("/greet", content=body.replace(b"%s", b"k" * 100_000), headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["field"] == "k" * 200 + "…"
    assert len(answer.text) < 2000 and len(logs.stream.getvalue()) < 2000


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "text/plain"}, "unsupported_media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "unsupported_media_type"),
        ({}, "unsupported_media_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "unsupported_encoding"),
    ],
)
async def test_another_form_of_body_is_refused(client: httpx.AsyncClient, headers: dict[str, str], code: str) -> None:
    bomb = gzip.compress(b'{"a": "' + b" " * 1_000_000 + b'"}')
    assert (await refused(client, 415, content=bomb, headers=headers))["code"] == code


async def test_a_body_of_exactly_250_kb_passes_and_one_byte_more_does_not(client: httpx.AsyncClient) -> None:
    body = b'{"a": "' + b"x" * (MAX_BODY_BYTES - 9) + b'"}'
    assert len(body) == MAX_BODY_BYTES
    assert (await client.post("/echo", content=body, headers=JSON)).status_code == 200
    assert (await refused(client, 413, content=body + b" "))["code"] == "body_too_large"


async def test_an_endless_body_without_length_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await refused(client, 413, content=endless()))["code"] == "body_too_large"
    assert sent <= MAX_BODY_BYTES + 2 * 65536
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


async def test_a_model_names_the_field_and_what_it_expected(client: httpx.AsyncClient) -> None:
    answer = await client.post("/greet", json={"name": "Ana", "ages": [1, "secret-canary"], "more": 1})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_field")
    assert error["message"].startswith("ages.1: Input should be a valid integer")
    assert "ages.1" in error["hint"]
    assert [problem["field"] for problem in error["details"]["problems"]] == ["ages.1", "more"]
    assert "canary" not in answer.text


async def test_an_absent_body_is_an_empty_object_where_it_is_not_required(client: httpx.AsyncClient) -> None:
    answer = await client.post("/greet")
    assert answer.json()["error"]["message"] == "name: Field required."


@contextlib.asynccontextmanager
async def served(logs: Logs) -> AsyncIterator[int]:
    """The application behind a real server, for what only a socket can send."""
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"])])
    services = app.state.services = Services(make_settings(), logs.logger)
    server = uvicorn.Server(uvicorn.Config(app, port=(port := free_port()), log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    await wait_until(lambda: server.started)
    try:
        yield port
    finally:
        server.should_exit = True
        await task
        await services.close()


async def exchange(port: int, request: bytes) -> bytes:
    """What the server answers to raw bytes, until it closes or has said a whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65536), 5)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


HEAD = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"


async def test_a_declared_length_above_the_limit_is_refused_before_the_body_comes(logs: Logs) -> None:
    async with served(logs) as port:
        answer = await exchange(port, HEAD + b"Content-Length: 10485761\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert (await exchange(port, HEAD + b"Content-Length: 2\r\n\r\n{}")).startswith(b"HTTP/1.1 200 ")


async def test_chunks_beyond_the_limit_are_refused_while_they_arrive(logs: Logs) -> None:
    async with served(logs) as port:
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        answer = await exchange(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_ends_before_its_declared_length_harms_nobody(logs: Logs) -> None:
    async with served(logs) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b'Content-Length: 100\r\n\r\n{"a": 1}')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        del reader
        assert (await exchange(port, HEAD + b"Content-Length: 2\r\n\r\n{}")).startswith(b"HTTP/1.1 200 ")
    assert not [line for line in logs.lines if line["level"] == "error"]


async def test_a_body_that_dawdles_is_given_up(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.web.bodies.BODY_SECONDS", 0.05)
    async with served(logs) as port:
        answer = await exchange(port, HEAD + b"Content-Length: 100\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408 ")
