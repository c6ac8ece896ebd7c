"""Broadcast over HTTP: one message or many, public and private."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from realtime import AsyncRealtimeClient

from devstack.cluster import Cluster
from tests.wire.realtime_support import ANN, BEN, Json, RawClient, Server, database_of_module, serve, sign, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICIES = """
create policy members on realtime.messages for select to authenticated using (true);
create policy ann on realtime.messages for insert to authenticated
  with check (realtime.topic() = 'room' and auth.uid() = '00000000-0000-4000-8000-00000000000a');
"""
SINGLE = "/api/broadcast/room/events/news"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_http") as database:
        with database.connect() as connection:
            connection.execute(POLICIES)
        async with serve(database) as running:
            yield running


async def post(server: Server, path: str, token: str | None = None, **request: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token or sign()}", **request.pop("headers", {})}
    async with httpx.AsyncClient(base_url=f"{server.url}/realtime/v1") as client:
        return await client.post(path, headers=headers, **request)


def message(**changes: Any) -> Json:
    return {"topic": "room", "event": "news", "payload": {"a": 1}, **changes}


def batch(*messages: Json) -> Json:
    return {"messages": list(messages)}


async def heard(client: RawClient) -> Any:
    frame = await client.receive()
    return frame["event"], frame["payload"]


NEWS = ("broadcast", {"event": "news", "payload": {"a": 1}, "type": "broadcast"})


async def test_a_batch_reaches_the_members_of_its_topics(server: Server) -> None:
    async with RawClient.open(server) as client, RawClient.open(server) as other:
        await client.join()
        await other.join(topic="realtime:other")
        response = await post(server, "/api/broadcast", json=batch(message(), message(topic="other", event="second")))
        assert await heard(client) == NEWS
        assert (await other.receive())["payload"]["event"] == "second"
    assert (response.status_code, response.content) == (202, b"")


async def test_private_messages_of_a_batch_are_skipped_without_leave_to_write(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(BEN))
        refused = await post(server, "/api/broadcast", user(BEN), json=batch(message(private=True, event="never")))
        sent = await post(server, "/api/broadcast", user(ANN), json=batch(message(private=True)))
        assert await heard(client) == NEWS
    assert refused.status_code == sent.status_code == 202


async def test_a_batch_with_a_fault_is_refused_whole(server: Server) -> None:
    faulty = message(payload=None, event="")
    async with RawClient.open(server) as client:
        await client.join()
        response = await post(server, "/api/broadcast", json=batch(faulty, message()))
        wrong = await post(server, "/api/broadcast", json=batch(message(topic=1)))
        large = await post(server, "/api/broadcast", json=batch(message(payload={"t": "x" * 3_000_500})))
        ref = await client.send("heartbeat", {}, "phoenix")
        assert (await client.receive())["ref"] == ref
    blank = ["can't be blank"]
    assert (response.status_code, response.json()) == (
        422,
        {"errors": {"messages": [{"event": blank, "payload": blank}, {}]}},
    )
    assert wrong.json() == {"errors": {"messages": [{"topic": ["is invalid"]}]}}
    assert large.json() == {"errors": {"messages": [{"payload": ["Payload size exceeds tenant limit"]}]}}


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 422), (b"[]", 422), (b'{"messages":{}}', 422), (b'{"messages":[1]}', 422), (b"{", 400)],
)
async def test_a_body_that_is_no_batch_is_refused(server: Server, content: bytes, status: int) -> None:
    assert (await post(server, "/api/broadcast", content=content)).status_code == status


async def test_a_single_message_is_binary_for_the_second_version(server: Server) -> None:
    async with RawClient.open(server) as first, websockets.connect(server.websocket_url(vsn="2.0.0")) as second:
        await first.join()
        await second.send(json.dumps(["1", "1", "realtime:room", "phx_join", {}]))
        await second.recv()
        sent = await post(server, SINGLE, json={"a": 1})
        assert await heard(first) == NEWS
        assert await second.recv() == b'\x04\x0d\x04\x00\x01realtime:roomnews{"a":1}'
        octets = await post(server, SINGLE, content=b"\xff", headers={"Content-Type": "application/octet-stream"})
        assert await second.recv() == b"\x04\x0d\x04\x00\x00realtime:roomnews\xff"
        await post(server, SINGLE, json=[1])
        assert (await first.receive())["payload"]["payload"] == {"_json": [1]}
    assert (sent.status_code, sent.content, octets.status_code) == (202, b"", 202)


async def test_topic_and_event_may_hold_encoded_slashes(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.join(topic="realtime:a/b c")
        assert (await post(server, "/api/broadcast/a%2Fb%20c/events/x%2Fy", json={})).status_code == 202
        assert (await client.receive())["payload"]["event"] == "x/y"
    assert (await post(server, "/api/broadcast/a/b/events/x", json={})).status_code == 404


async def test_a_single_private_message_needs_leave_to_write(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(BEN))
        refused = await post(server, f"{SINGLE}?private=true", user(BEN), json={})
        sent = await post(server, f"{SINGLE}?private=true", user(ANN), json={"a": 1})
        assert await heard(client) == NEWS
    assert (refused.status_code, refused.json()) == (403, {"message": "Unauthorized"})
    assert sent.status_code == 202


async def test_a_single_message_of_another_kind_or_too_large_is_refused(server: Server) -> None:
    text = await post(server, SINGLE, content=b"a", headers={"Content-Type": "text/plain"})
    large = await post(server, SINGLE, json={"t": "x" * 3_000_500})
    huge = await post(server, SINGLE, content=b"x" * 8_000_001)
    broken = await post(server, SINGLE, content=b"{")
    error = "Unsupported Media Type. Use application/json or application/octet-stream"
    assert (text.status_code, text.json()) == (415, {"error": error})
    assert (large.status_code, large.json()) == (422, {"errors": {"payload": ["Payload size exceeds tenant limit"]}})
    assert (huge.status_code, broken.status_code) == (413, 400)


@pytest.mark.parametrize("path", ["/api/broadcast", SINGLE])
async def test_a_request_needs_a_good_token(server: Server, path: str) -> None:
    for token in ("nonsense", sign(seconds=-1), sign(secret="x" * 32)):
        response = await post(server, path, token, json=batch(message()))
        assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})
    async with httpx.AsyncClient(base_url=f"{server.url}/realtime/v1") as client:
        by_key = await client.post(path, headers={"apikey": sign()}, json=batch(message()))
    assert by_key.status_code == 202


async def test_the_python_client_sends_over_http(server: Server) -> None:
    client = AsyncRealtimeClient(f"{server.url}/realtime/v1", sign())
    async with RawClient.open(server) as hearer:
        await hearer.join()
        await client.channel("room").http_send("news", {"a": 1})
        assert await heard(hearer) == NEWS
