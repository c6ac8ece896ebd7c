"""Private channels: policies on `realtime.messages` decide who hears and who speaks."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, LiteralString

import psycopg
import pytest
import pytest_asyncio
import websockets
from realtime import AsyncRealtimeClient, RealtimeSubscribeStates

from devstack.cluster import Cluster
from tests.wire.realtime_support import ANN, BEN, Json, RawClient, Server, database_of_module, serve, sign, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: Json = {"type": "broadcast", "event": "hello", "payload": {"a": 1}}
ACK: Json = {"ack": True}
REFUSED = {
    "status": "error",
    "response": {"reason": "Unauthorized: You do not have permissions to read from this Channel topic: room"},
}
MUTE = {
    "status": "error",
    "response": {"reason": "Unauthorized: You do not have permissions to write to this Channel topic: room"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_private") as database:
        async with serve(database) as running:
            yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with server.database.connect() as connection:
        yield connection
        for (name,) in connection.execute("select policyname from pg_policies where schemaname = 'realtime'"):
            connection.execute(f'drop policy "{name}" on realtime.messages')


def allow(database: psycopg.Connection, what: LiteralString, condition: LiteralString) -> None:
    """A policy for `select` or `insert` on messages."""
    clause: LiteralString = "using" if what == "select" else "with check"
    query: LiteralString = f"create policy {what}_some on realtime.messages for {what} to authenticated"
    database.execute(f"{query} {clause} ({condition})")


def allow_everything(database: psycopg.Connection) -> None:
    allow(database, "select", "true")
    allow(database, "insert", "true")


async def is_silent(client: RawClient) -> bool:
    """Whether nothing has been sent to the client up to now."""
    ref = await client.send("heartbeat", {}, "phoenix")
    frame = await client.receive()
    return bool(frame["ref"] == ref)


async def test_without_a_policy_a_private_channel_is_closed_to_everyone(server: Server) -> None:
    async with RawClient.open(server) as client:
        assert await client.join(private=True, token=user(ANN)) == REFUSED
        assert await client.join(private="true") == REFUSED


async def test_a_policy_reads_the_topic_the_claims_and_the_headers(
    server: Server, database: psycopg.Connection
) -> None:
    allow(
        database,
        "select",
        "realtime.topic() = 'room' and topic = 'room' and (select auth.uid()) = '00000000-0000-4000-8000-00000000000a'"
        " and current_setting('request.headers')::json ->> 'x-team' = 'red' and not private",
    )
    headers = {"X-Team": "red"}
    async with websockets.connect(server.websocket_url(), additional_headers=headers) as connection:
        client = RawClient(connection)
        assert (await client.join(private=True, token=user(ANN)))["status"] == "ok"
        assert await client.join(private=True, token=user(BEN)) == REFUSED
        assert (await client.join(private=True, token=user(ANN), topic="realtime:other"))["status"] == "error"
    async with RawClient.open(server) as client:
        assert await client.join(private=True, token=user(ANN)) == REFUSED


async def test_a_policy_that_fails_and_an_unknown_role_close_the_channel(
    server: Server, database: psycopg.Connection
) -> None:
    allow(database, "select", "1 / (length(topic) - 4) = 0")
    async with RawClient.open(server) as client:
        assert await client.join(private=True, token=user(ANN)) == REFUSED
        assert await client.join(private=True, token=sign("nobody_here")) == REFUSED


async def test_members_with_leave_to_write_are_heard_and_others_get_no_answer(
    server: Server, database: psycopg.Connection
) -> None:
    allow(database, "select", "true")
    allow(database, "insert", "extension = 'broadcast' and auth.uid() = '00000000-0000-4000-8000-00000000000a'")
    async with RawClient.open(server) as ann, RawClient.open(server) as ben:
        await ann.join(private=True, token=user(ANN), broadcast=ACK)
        await ben.join(private=True, token=user(BEN), broadcast=ACK)
        await ben.send("broadcast", HELLO)
        assert (await ben.receive())["payload"] == MUTE
        assert await is_silent(ann)
        await ann.send("broadcast", HELLO)
        assert (await ann.receive())["payload"] == {"status": "ok", "response": {}}
        assert (await ben.receive())["payload"] == HELLO


async def test_leave_to_write_is_asked_again_with_a_new_token(server: Server, database: psycopg.Connection) -> None:
    allow(database, "select", "true")
    allow(database, "insert", "auth.uid() = '00000000-0000-4000-8000-00000000000a'")
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(ANN), broadcast=ACK)
        await client.send("broadcast", HELLO)
        assert (await client.receive())["payload"]["status"] == "ok"
        await client.send("access_token", {"access_token": user(BEN)})
        await client.send("broadcast", HELLO)
        assert (await client.receive())["payload"] == MUTE


async def test_public_and_private_rooms_of_one_name_do_not_hear_each_other(
    server: Server, database: psycopg.Connection
) -> None:
    allow_everything(database)
    async with RawClient.open(server) as private, RawClient.open(server) as public:
        await private.join(private=True, token=user(ANN), broadcast=ACK)
        await public.join(token=user(ANN), presence={"key": "public", "enabled": True}, broadcast=ACK)
        await public.receive()  # the empty state
        await private.send("broadcast", HELLO)
        await private.receive()
        assert await is_silent(public)
        await public.send("presence", {"event": "track", "payload": {}})
        await public.receive(), await public.receive()
        assert await is_silent(private)


async def test_broadcast_and_presence_are_allowed_separately(server: Server, database: psycopg.Connection) -> None:
    allow(database, "select", "extension = 'broadcast' or auth.uid() = '00000000-0000-4000-8000-00000000000a'")
    allow(database, "insert", "extension = 'presence' or auth.uid() = '00000000-0000-4000-8000-00000000000b'")
    async with RawClient.open(server) as ann, RawClient.open(server) as ben:
        await ann.join(private=True, token=user(ANN), presence={"enabled": True, "key": "ann"})
        assert (await ann.receive())["event"] == "presence_state"
        await ben.join(private=True, token=user(BEN), presence={"enabled": True, "key": "ben"})
        assert await is_silent(ben)  # no state
        await ben.send("presence", {"event": "track", "payload": {}})
        assert (await ben.receive())["payload"] == {"status": "ok", "response": {}}
        assert list((await ann.receive())["payload"]["joins"]) == ["ben"]
        assert await is_silent(ben)  # no diff
        await ben.send("broadcast", HELLO)
        assert (await ann.receive())["payload"] == HELLO


async def test_presence_alone_is_enough_to_join_and_brings_no_broadcasts(
    server: Server, database: psycopg.Connection
) -> None:
    allow(database, "select", "extension = 'presence' or auth.uid() = '00000000-0000-4000-8000-00000000000a'")
    allow(database, "insert", "extension = 'broadcast'")
    async with RawClient.open(server) as ann, RawClient.open(server) as ben:
        await ann.join(private=True, token=user(ANN), broadcast=ACK)
        assert await ben.join(private=True, token=user(BEN)) == REFUSED  # without presence nothing is left
        assert (await ben.join(private=True, token=user(BEN), presence={"enabled": True}))["status"] == "ok"
        await ben.receive()
        await ann.send("broadcast", HELLO)
        await ann.receive()
        assert await is_silent(ben)
        await ben.send("presence", {"event": "track", "payload": {}})
        assert (await ben.receive())["payload"] == {"status": "error", "response": {}}


async def test_tracking_turns_presence_on_where_the_policies_allow_it(
    server: Server, database: psycopg.Connection
) -> None:
    allow_everything(database)
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(ANN), presence={"key": "ann"})
        await client.send("presence", {"event": "track", "payload": {}})
        frames = [await client.receive(), await client.receive()]
    assert [frame["event"] for frame in frames] == ["phx_reply", "presence_diff"]


async def test_a_new_token_without_rights_closes_the_channel(server: Server, database: psycopg.Connection) -> None:
    allow(database, "select", "extension = 'presence' and auth.uid() is not null or auth.role() = 'authenticated'")
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(ANN))
        await client.send("access_token", {"access_token": sign("anon")})
        told, closed = await client.receive(), await client.receive()
    message = "You do not have permissions to read from this Channel topic: room"
    assert told["payload"] == {"channel": "room", "extension": "system", "message": message, "status": "error"}
    assert closed["event"] == "phx_close"


async def test_a_new_token_that_loses_one_right_closes_the_channel(
    server: Server, database: psycopg.Connection
) -> None:
    allow(database, "select", "extension = 'broadcast' or auth.uid() = '00000000-0000-4000-8000-00000000000a'")
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(ANN), presence={"enabled": True})
        await client.receive()
        await client.send("access_token", {"access_token": user(BEN)})
        told, closed = await client.receive(), await client.receive()
    assert told["payload"]["message"] == "You no longer have permission to read from this Channel topic: room"
    assert closed["event"] == "phx_close"


async def test_the_probes_leave_no_rows(server: Server, database: psycopg.Connection) -> None:
    allow_everything(database)
    async with RawClient.open(server) as client:
        await client.join(private=True, token=user(ANN), broadcast=ACK)
        await client.send("broadcast", HELLO)
        await client.receive()
    assert database.execute("select count(*) from realtime.messages").fetchone() == (0,)


async def test_the_gateway_keeps_a_partition_for_each_day(server: Server, database: psycopg.Connection) -> None:
    rows = database.execute(
        "select to_date(relname, '\"messages_\"YYYY_MM_DD') - current_date from pg_class"
        " join pg_inherits on inhrelid = oid where inhparent = 'realtime.messages'::regclass order by 1"
    )
    assert [row[0] for row in rows] == [-1, 0, 1, 2, 3]


async def test_old_partitions_go_when_the_gateway_starts(cluster: Cluster) -> None:
    with database_of_module(cluster, "realtime_partitions") as own, own.connect() as connection:
        connection.execute(
            "create table realtime.messages_2020_01_01 partition of realtime.messages"
            " for values from ('2020-01-01') to ('2020-01-02')"
        )
        async with serve(own):
            gone = connection.execute("select to_regclass('realtime.messages_2020_01_01')").fetchone()
    assert gone == (None,)


async def test_the_python_client_joins_private_channels(server: Server, database: psycopg.Connection) -> None:
    allow_everything(database)
    client = AsyncRealtimeClient(f"{server.url}/realtime/v1", sign())
    states: list[RealtimeSubscribeStates] = []
    try:
        await client.set_auth(user(ANN))
        options: Any = {"config": {"private": True, "broadcast": None, "presence": None}}
        await client.channel("room", options).subscribe(lambda state, _: states.append(state))
        assert states == [RealtimeSubscribeStates.SUBSCRIBED]
    finally:
        await client.close()
