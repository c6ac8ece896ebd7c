"""What no honest client sends: it is dropped or refused, and the socket and everyone else go on."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from devstack.cluster import Cluster
from devstack.realtime.channel import Channel
from devstack.realtime.feed import Feed
from devstack.realtime.limits import Limits
from devstack.realtime.presence import Presence
from tests.wire.realtime_support import RawClient, Server, database_of_module, serve, sign

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOPICS = ["realtime:room", "realtime:", "phoenix", "", "realtime:\u0000", "other", "realtime:" + "x" * 300, 7, None]
EVENTS = ["phx_join", "phx_leave", "broadcast", "presence", "access_token", "heartbeat", "phx_reply", "", 1, None]
SCRAPS: list[Any] = [None, True, 0, -1, 2**70, 1e300, "", "true", "\u0000", "x" * 5000, [], {}, [None], {"": None}]
KEYS = [
    "config", "broadcast", "presence", "private", "postgres_changes", "access_token", "user_token", "ack", "self",
    "key", "replay", "since", "limit", "enabled", "event", "schema", "table", "filter", "select", "payload", "type",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_bad_input") as database:
        async with serve(database, Limits(joins_per_second=None, presence_calls=None)) as running:
            yield running


async def answers(client: RawClient) -> None:
    """The socket is served still."""
    ref = await client.send("heartbeat", {}, "phoenix")
    await client.until(lambda frame: frame["ref"] == ref)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def anything(chance: random.Random, levels: int = 4) -> Any:
    """A value of the kind that joins are made of, put together at random."""
    if levels == 0 or chance.random() < 0.3:
        return chance.choice(SCRAPS)
    if chance.random() < 0.2:
        return [anything(chance, levels - 1) for _ in range(chance.randrange(4))]
    return {chance.choice(KEYS): anything(chance, levels - 1) for _ in range(chance.randrange(6))}


def join(chance: random.Random) -> Any:
    """The payload of a join that is right in most of its places."""
    sections = {key: chance.choice([{}, anything(chance, 2)]) for key in ("broadcast", "presence", "private")}
    entry = {"event": "*", "schema": "public", "table": "nowhere", chance.choice(KEYS): anything(chance, 1)}
    changes = chance.choice([[], [None, entry], [entry, entry], anything(chance, 2)])
    return {"config": {**sections, "postgres_changes": changes}, "access_token": chance.choice([None, sign(), 1, "x"])}


async def test_what_is_put_together_at_random_is_survived(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(11)
    async with RawClient.open(server) as client:
        for number in range(1500):
            frame = {
                "topic": chance.choice(TOPICS),
                "event": chance.choice(EVENTS),
                "payload": chance.choice([anything, join])(chance),
                "ref": chance.choice([None, str(number), number, {}, []]),
                "join_ref": chance.choice([None, None, "1", 3]),
            }
            await client.connection.send(json.dumps(frame))
            if number % 100 == 0:
                await answers(client)
        await answers(client)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_arrays_and_bytes_at_random_are_survived(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(12)
    async with websockets.connect(server.websocket_url(vsn="2.0.0"), max_size=None) as socket:
        for _ in range(500):
            parts = [chance.choice(["1", None, 5]), "1", chance.choice(TOPICS), chance.choice(EVENTS), anything(chance)]
            await socket.send(json.dumps(parts[: chance.randrange(6)]))
            head = bytes([chance.choice([0, 1, 2, 3, 3, 3, 4, 255]), *(chance.randrange(20) for _ in range(5)), 1])
            await socket.send(head[: chance.randrange(8)] + chance.randbytes(chance.randrange(60)))
        await socket.send('[null,"last","phoenix","heartbeat",{}]')
        while json.loads(await socket.recv())[1] != "last":
            pass
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_what_is_nested_too_deeply_is_dropped(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.join(broadcast={"self": True})
        for levels in (245, 300, 900, 100_000):
            await client.connection.send(
                f'{{"topic":"realtime:room","event":"broadcast","ref":"9","payload":{{"payload":{nested(levels)}}}}}'
            )
        await client.send("broadcast", {"event": "deep", "payload": json.loads(nested(200))})
        assert (await client.receive())["payload"]["event"] == "deep"


async def test_over_http_it_is_refused(server: Server) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {sign()}"}) as http:
        for body in (nested(900), "{", "\xff", '{"messages": [{"topic": "t", "event": "e", "payload": ' + nested(900)):
            for path in ("", "/room/events/e"):
                url = f"{server.url}/realtime/v1/api/broadcast{path}"
                response = await http.post(url, content=body, headers={"Content-Type": "application/json"})
                assert response.status_code == 400
                assert response.json() == {"error": "The body is not valid JSON, or nested too deeply"}


async def test_a_frame_that_is_too_large_ends_its_socket_alone(server: Server) -> None:
    async with RawClient.open(server) as other:
        async with RawClient.open(server) as client:
            await client.connection.send("x" * 6_000_000)
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await client.receive()
        await answers(other)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


async def test_a_fault_of_the_gateway_costs_a_channel_and_not_the_socket(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a fault")

    async with RawClient.open(server) as client:
        await client.join()
        await client.join(topic="realtime:other")
        monkeypatch.setattr(Presence, "track", fail)
        await client.send("presence", {"event": "track", "payload": {}})
        crashed = await client.until(lambda frame: frame["event"] == "phx_error")
        monkeypatch.setattr(Channel, "prepare", fail)
        refused = await client.join()
        monkeypatch.undo()
        monkeypatch.setattr(Feed, "subscribe", fail)
        await client.join({"event": "*", "schema": "public"})
        told = await client.until(lambda frame: frame["event"] == "system")
        await client.send("broadcast", {"event": "e", "payload": {}}, "realtime:other")
        await answers(client)
    assert crashed == {"event": "phx_error", "payload": {}, "ref": "1", "topic": "realtime:room"}
    assert refused == {"status": "error", "response": {"reason": "Unknown Error on Channel"}}
    assert (told["payload"]["extension"], told["payload"]["status"]) == ("postgres_changes", "error")
    assert caplog.text.count("LookupError: a fault") == 3
