"""Broadcast between members of public channels, in text frames of both framings."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import websockets

from devstack.cluster import Cluster
from tests.wire.realtime_support import Json, RawClient, Server, database_of_module, serve

HELLO: Json = {"type": "broadcast", "event": "hello", "payload": {"a": 1}, "unknown": [2.5, None]}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_broadcast") as database:
        async with serve(database) as running:
            yield running


async def test_a_broadcast_reaches_the_others_word_for_word_and_is_not_answered(server: Server) -> None:
    async with RawClient.open(server) as sender, RawClient.open(server) as hearer, RawClient.open(server) as other:
        await sender.join()
        await hearer.join()
        await other.join(topic="realtime:elsewhere")
        await sender.send("broadcast", HELLO)
        heard = await hearer.receive()
        refs = [await client.send("heartbeat", {}, "phoenix") for client in (sender, other)]
        answers = [await client.receive() for client in (sender, other)]
    assert heard == {"event": "broadcast", "topic": "realtime:room", "payload": HELLO, "ref": None}
    assert [answer["ref"] for answer in answers] == refs


async def test_the_sender_hears_itself_and_gets_an_answer_if_it_asked_for_them(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.join(broadcast={"self": True, "ack": "true"})
        ref = await client.send("broadcast", HELLO)
        frames = [await client.receive(), await client.receive()]
    assert frames[0]["payload"] == HELLO
    assert (frames[1]["ref"], frames[1]["payload"]) == (ref, {"status": "ok", "response": {}})


async def test_a_broadcast_crosses_the_framings(server: Server) -> None:
    async with websockets.connect(server.websocket_url(vsn="2.0.0")) as arrays, RawClient.open(server) as objects:
        await arrays.send('["1","1","realtime:room","phx_join",{"config":{}}]')
        await arrays.recv()
        await objects.join()
        await objects.send("broadcast", HELLO)
        assert json.loads(await arrays.recv()) == [None, None, "realtime:room", "broadcast", HELLO]
        await arrays.send(json.dumps(["1", "2", "realtime:room", "broadcast", HELLO]))
        assert (await objects.receive())["payload"] == HELLO


async def test_a_broadcast_too_large_is_dropped_and_only_the_sender_hears_of_it(server: Server) -> None:
    async with RawClient.open(server) as sender, RawClient.open(server) as hearer:
        await sender.join(broadcast={"ack": True})
        await hearer.join()
        await sender.send("broadcast", {"event": "large", "payload": {"text": "x" * 3_000_500}})
        await sender.send("broadcast", HELLO)
        assert (await sender.receive())["payload"] == {"status": "error", "response": "payload_size_exceeded"}
        assert (await hearer.receive())["payload"] == HELLO


async def test_who_has_left_hears_nothing(server: Server) -> None:
    async with RawClient.open(server) as sender, RawClient.open(server) as leaver:
        await sender.join(broadcast={"ack": True})
        await leaver.join()
        await leaver.send("phx_leave", {}, join_ref="1")
        await leaver.receive(), await leaver.receive()
        await sender.send("broadcast", HELLO)
        assert (await sender.receive())["payload"]["status"] == "ok"
        ref = await leaver.send("heartbeat", {}, "phoenix")
        assert (await leaver.receive())["ref"] == ref
