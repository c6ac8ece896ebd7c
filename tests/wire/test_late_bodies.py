"""A body that never comes ends in 408, in every service that reads one, and in a closed connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from devstack import services
from devstack.cluster import Cluster
from devstack.gateway import listen, serving
from devstack.keys import local_keys
from devstack.late_bodies import LateBodies
from devstack.services import Site, serving_project
from tests.conftest import Database
from tests.wire.realtime_support import database_of_module

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = local_keys()


@pytest.fixture(scope="module")
def database(cluster: Cluster) -> Iterator[Database]:
    with database_of_module(cluster, "late_bodies") as database:
        yield database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "BODY_SECONDS", 0.2)
        patch.setattr(services, "UPLOAD_SECONDS", 0.2)
        media: Path = tmp_path_factory.mktemp("media")
        site = Site(database.dsn, listen(0), media, KEYS, "http://127.0.0.1:9")
        async with serving_project(site):
            yield site.listener.getsockname()[1]


async def answer_to(port: int, path: str, part: bytes, **headers: str) -> str:
    """All that the server says to a request whose body stops after `part`, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"POST {path} HTTP/1.1", "host: devstack", "content-length: 100"]
    lines += [f"apikey: {KEYS.service_role_key}", f"authorization: Bearer {KEYS.service_role_key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + part)
        async with asyncio.timeout(10):
            return (await reader.read()).decode()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("part", [b"", b'{"email": "a'])
@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/auth/v1/signup", "application/json"),
        ("/realtime/v1/api/broadcast", "application/json"),
        ("/realtime/v1/api/broadcast/room/events/hello", "application/json"),
        ("/storage/v1/bucket", "application/json"),
    ],
)
async def test_a_body_that_stops_is_answered_408(port: int, path: str, content_type: str, part: bytes) -> None:
    answer = await answer_to(port, path, part, content_type=content_type)
    assert answer.startswith("HTTP/1.1 408 ")
    assert "The body must arrive within 0.2 seconds" in answer
    assert answer.count("HTTP/1.1") == 1


@pytest.mark.parametrize("content_type", ["video/mp4", "multipart/form-data; boundary=b"])
async def test_an_upload_that_stops_leaves_its_name_free(port: int, content_type: str) -> None:
    bucket = f"b{len(content_type)}"
    body = f'{{"name": "{bucket}"}}'.encode().ljust(100)
    made = await answer_to(port, "/storage/v1/bucket", body, connection="close")
    assert made.startswith("HTTP/1.1 200 ")
    path = f"/storage/v1/object/{bucket}/film.mp4"
    stopped = await answer_to(port, path, b"--b\r\n", content_type=content_type)
    assert stopped.startswith("HTTP/1.1 408 ")
    whole = await answer_to(port, path, b"x" * 100, content_type="video/mp4", connection="close")
    assert whole.startswith("HTTP/1.1 200 ")


async def test_an_answer_that_began_without_the_body_is_not_cut_off() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"part "
            await asyncio.sleep(0.1)  # the limit passes while it answers

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(parts())(scope, receive, send)

    listener = listen(0)
    async with serving(LateBodies(app, 0.2), listener):
        answer = await answer_to(listener.getsockname()[1], "/", b"", connection="close")
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.count("part ") == 4


async def test_a_body_that_comes_in_time_is_not_touched() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        content = {"length": len(await Request(scope, receive).body())}
        await JSONResponse(content)(scope, receive, send)

    listener = listen(0)
    async with serving(LateBodies(app, 5), listener):
        answer = await answer_to(listener.getsockname()[1], "/", b"x" * 100, connection="close")
    assert answer.endswith('{"length":100}')
