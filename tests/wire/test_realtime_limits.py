"""The limits of a hosted project, each with the answer a client gets."""

from typing import LiteralString

import httpx
import pytest
import websockets

from devstack.realtime.limits import Limits
from tests.conftest import Database
from tests.wire.realtime_support import Json, RawClient, becomes_true, serve, sign, watching, writer

HELLO: Json = {"type": "broadcast", "event": "hello", "payload": {"a": 1}}
OF_CHANGES: LiteralString = (
    "from pg_replication_slots where database = current_database() and slot_name not like '%messages%'"
)
ACK: Json = {"ack": True, "self": True}


def refused(reason: str) -> Json:
    return {"status": "error", "response": {"reason": reason}}


async def shut_down(client: RawClient) -> str:
    """Why the channel is closed."""
    told, closed = await client.receive(), await client.receive()
    assert (told["event"], closed["event"]) == ("system", "phx_close")
    return str(told["payload"]["message"])


async def test_too_many_sockets_are_refused(bare_database: Database) -> None:
    async with serve(bare_database, Limits(clients=1)) as server, RawClient.open(server) as client:
        await client.join()
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(server.websocket_url())
    assert caught.value.response.status_code == 429
    assert caught.value.response.body == b'{"error":"Too many connected users"}'


async def test_too_many_channels_are_refused_but_a_rejoin_is_not(bare_database: Database) -> None:
    async with serve(bare_database, Limits(channels=1)) as server, RawClient.open(server) as client:
        assert (await client.join())["status"] == "ok"
        assert await client.join(topic="realtime:two") == refused("ChannelRateLimitReached: Too many channels")
        assert (await client.join())["status"] == "ok"


async def test_too_many_joins_close_the_socket_and_keep_others_out(bare_database: Database) -> None:
    async with serve(bare_database, Limits(joins_per_second=1)) as server, RawClient.open(server) as client:
        for _ in range(59):
            assert (await client.join())["status"] == "ok"
        assert await client.join(topic="realtime:two") == refused(
            "ClientJoinRateLimitReached: Too many joins per second"
        )
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.until(lambda _: False)
        with pytest.raises(websockets.InvalidStatus) as late:
            await websockets.connect(server.websocket_url())
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    assert late.value.response.status_code == 429


async def test_above_the_rate_of_messages_the_sender_is_shut_down_and_http_refused(bare_database: Database) -> None:
    async with serve(bare_database, Limits(messages_per_second=1)) as server, RawClient.open(server) as client:
        await client.join(broadcast=ACK)
        async with httpx.AsyncClient(
            base_url=f"{server.url}/realtime/v1", headers={"Authorization": f"Bearer {sign()}"}
        ) as http:
            message = {"topic": "room", "event": "e", "payload": {"a": 1}}
            large = await http.post("/api/broadcast", json={"messages": [message] * 61})
            await http.post("/api/broadcast", json={"messages": [message] * 60})
            batch = await http.post("/api/broadcast", json={"messages": [message]})
            single = await http.post("/api/broadcast/room/events/e", json={})
        for _ in range(60):
            assert (await client.receive())["event"] == "broadcast"
        await client.send("broadcast", HELLO)
        assert await shut_down(client) == "Too many messages per second"
    assert [response.status_code for response in (large, batch, single)] == [429, 429, 429]
    headers = ("x-rate-rolling", "x-rate-limit", "x-rate-limit-remaining")
    assert [large.headers[name] for name in headers] == ["0.00", "1", "1.00"]
    assert [batch.headers[name] for name in headers] == ["1.00", "1", "0.00"]
    assert large.json() == {"message": "Too many messages to broadcast, please reduce the batch size"}
    assert batch.json() == {"message": "You have exceeded your rate limit"}
    assert single.json() == {"message": "Too many requests"}


async def test_row_changes_above_the_rate_are_dropped(bare_database: Database) -> None:
    with writer(bare_database) as database:
        database.execute("create table jobs (id int primary key); grant select on jobs to anon")
        database.execute("alter publication supabase_realtime add table jobs")
        async with serve(bare_database, Limits(messages_per_second=1)) as server, RawClient.open(server) as client:
            await client.subscribe(watching())
            database.execute("insert into jobs select generate_series(1, 60)")
            assert [(await client.change())["record"]["id"] for _ in range(60)] == list(range(1, 61))
            row = database.execute("select pg_current_wal_lsn()").fetchone()
            database.execute("insert into jobs values (61)")
            await becomes_true(database, f"confirmed_flush_lsn > '{row[0]}' {OF_CHANGES}" if row else "false")
            ref = await client.send("heartbeat", {}, "phoenix")
            assert (await client.receive())["ref"] == ref


async def test_too_many_presence_calls_end_the_channel(bare_database: Database) -> None:
    for limits, message in [
        (Limits(presence_calls=0), "Client presence rate limit exceeded"),
        (Limits(presence_per_second=0), "Too many presence messages per second"),
    ]:
        async with serve(bare_database, limits) as server, RawClient.open(server) as client:
            await client.join()
            await client.send("presence", {"event": "track", "payload": {}})
            assert await shut_down(client) == message


async def test_what_is_tracked_may_not_be_larger_than_a_broadcast(bare_database: Database) -> None:
    async with serve(bare_database, Limits(broadcast_bytes=40)) as server, RawClient.open(server) as client:
        await client.join()
        await client.send("presence", {"event": "track", "payload": {"text": "x" * 40}})
        assert await shut_down(client) == "Track message size exceeded"


async def test_unless_told_otherwise_the_limits_are_those_of_a_new_project(bare_database: Database) -> None:
    async with serve(bare_database) as server, RawClient.open(server) as client:
        for number in range(100):
            assert (await client.join(topic=f"realtime:{number}"))["status"] == "ok"
        assert await client.join() == refused("ChannelRateLimitReached: Too many channels")
        for number in range(5):
            await client.send("presence", {"event": "track", "payload": {"n": number}}, "realtime:0")
            assert (await client.receive())["payload"]["status"] == "ok"
            assert (await client.receive())["event"] == "presence_diff"
        await client.send("presence", {"event": "untrack", "payload": {}}, "realtime:0")
        assert await shut_down(client) == "Client presence rate limit exceeded"


async def test_the_size_of_a_broadcast_is_a_setting(bare_database: Database) -> None:
    async with serve(bare_database, Limits(broadcast_bytes=40)) as server, RawClient.open(server) as client:
        await client.join(broadcast=ACK)
        await client.send("broadcast", HELLO)
        assert (await client.receive())["payload"] == {"status": "error", "response": "payload_size_exceeded"}
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {sign()}"}) as http:
            url = f"{server.url}/realtime/v1/api/broadcast/room/events/e"
            response = await http.post(url, json={"text": "x" * 40})
    assert response.status_code == 422
