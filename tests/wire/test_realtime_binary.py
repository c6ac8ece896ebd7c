"""Binary broadcasts of vsn 2.0.0, and how they cross to the first version."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
import websockets

from devstack.cluster import Cluster
from tests.wire.realtime_support import Json, RawClient, Server, database_of_module, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_binary") as database:
        async with serve(database) as running:
            yield running


@asynccontextmanager
async def joined(server: Server, **broadcast: bool) -> AsyncIterator[websockets.ClientConnection]:
    """A client of vsn 2.0.0 in the room."""
    async with websockets.connect(server.websocket_url(vsn="2.0.0")) as connection:
        await connection.send(json.dumps(["6", "6", "realtime:room", "phx_join", {"config": {"broadcast": broadcast}}]))
        assert json.loads(await connection.recv())[3] == "phx_reply"
        yield connection


def push(payload: bytes, encoding: int = 1, event: str = "ev", topic: str = "realtime:room") -> bytes:
    header = bytes([3, 1, 1, len(topic.encode()), len(event.encode()), 0, encoding])
    return header + b"67" + topic.encode() + event.encode() + payload


def delivery(payload: bytes, encoding: int = 1, event: str = "ev") -> bytes:
    return bytes([4, 13, len(event.encode()), 0, encoding]) + b"realtime:room" + event.encode() + payload


async def test_json_reaches_both_versions_and_the_sender_gets_its_answer_as_text(server: Server) -> None:
    async with joined(server, ack=True) as sender, joined(server) as hearer, RawClient.open(server) as first:
        await first.join()
        await sender.send(push(b'{"a": 1.50}', event="grüße"))
        assert json.loads(await sender.recv()) == [
            "6",
            "7",
            "realtime:room",
            "phx_reply",
            {"status": "ok", "response": {}},
        ]
        assert await hearer.recv() == delivery(b'{"a": 1.50}', event="grüße")
        assert (await first.receive())["payload"] == {"event": "grüße", "payload": {"a": 1.5}, "type": "broadcast"}


async def test_bytes_reach_the_second_version_only(server: Server) -> None:
    async with joined(server, self=True) as sender, RawClient.open(server) as first:
        await first.join()
        await sender.send(push(b"\x00\xff", encoding=0))
        assert await sender.recv() == delivery(b"\x00\xff", encoding=0)
        ref = await first.send("heartbeat", {}, "phoenix")
        assert (await first.receive())["ref"] == ref


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x03",
        b"\x03\xff\xff\xff\xff\xff\x01short",
        b"\x00\x01\x01\x0d\x0267realtime:roomev{}",
        push(b"{", 1),
        push(b"{}", 2),
        push(b"{}").replace(b"ev", b"\xff\xfe"),
    ],
)
async def test_a_broken_binary_frame_is_dropped(server: Server, frame: bytes) -> None:
    async with joined(server, self=True) as client:
        await client.send(frame)
        await client.send(push(b"{}"))
        assert await client.recv() == delivery(b"{}")


async def test_a_binary_frame_for_a_topic_not_joined_is_answered(server: Server) -> None:
    async with joined(server) as client:
        await client.send(push(b"{}", topic="realtime:elsewhere"))
        reply: list[Json] = json.loads(await client.recv())
    assert reply == [
        "6",
        "7",
        "realtime:elsewhere",
        "phx_reply",
        {"status": "error", "response": {"reason": "unmatched topic"}},
    ]


async def test_an_event_too_long_for_a_binary_frame_comes_as_text(server: Server) -> None:
    long = "e" * 256
    async with joined(server) as hearer, websockets.connect(server.websocket_url()) as connection:
        first = RawClient(connection)
        await first.join()
        await first.send("broadcast", {"type": "broadcast", "event": long, "payload": {}})
        frame = json.loads(await hearer.recv())
    assert frame[4]["event"] == long
