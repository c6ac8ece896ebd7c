"""Replay of what the database has sent to a private channel before a member joined."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import websockets

from devstack.cluster import Cluster
from tests.wire.realtime_support import ANN, Json, RawClient, Server, database_of_module, serve, user, writer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_replay") as database:
        with database.connect() as connection:
            connection.execute("create policy members on realtime.messages for select to authenticated using (true)")
        async with serve(database) as running:
            yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection
        connection.execute("truncate realtime.messages")


def store(database: psycopg.Connection, number: int, minutes_ago: float = 1, **changes: Any) -> None:
    """Insert a message that nobody hears live."""
    row = {"topic": "room", "private": True, "event": "news", "extension": "broadcast", **changes}
    if "binary_payload" not in row:
        row["payload"] = json.dumps({"n": number})
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    database.execute(
        f"insert into realtime.messages (inserted_at, {names})"
        f" values (now() at time zone 'utc' - %s * interval '1 minute', {places})".encode(),
        (minutes_ago, *row.values()),
    )


async def replayed(client: RawClient, **replay: Any) -> list[Json]:
    """Join and return the broadcasts that follow the reply, up to the answer to a heartbeat."""
    reply = await client.join(private=True, token=user(ANN), broadcast={"replay": replay})
    assert reply["status"] == "ok", reply
    ref = await client.send("heartbeat", {}, "phoenix")
    frames = []
    while (frame := await client.receive())["ref"] != ref:
        frames.append(frame)
    return frames


async def test_the_newest_messages_come_oldest_first_and_say_that_they_are_old(
    server: Server, database: psycopg.Connection
) -> None:
    for number in range(4):
        store(database, number, minutes_ago=10 - number)
    async with RawClient.open(server) as client:
        frames = await replayed(client, since=0, limit=3)
    assert [frame["payload"]["payload"] for frame in frames] == [{"n": 1}, {"n": 2}, {"n": 3}]
    meta = frames[0]["payload"]["meta"]
    assert frames[0]["payload"] == {"event": "news", "payload": {"n": 1}, "type": "broadcast", "meta": meta}
    assert meta == {"replayed": True, "id": meta["id"]}


async def test_only_this_channels_recent_messages_are_replayed(server: Server, database: psycopg.Connection) -> None:
    store(database, 0, minutes_ago=10)
    store(database, 1, topic="other")
    store(database, 2, private=False)
    store(database, 3, extension="presence")
    store(database, 4, binary_payload=b"\x00")  # nothing for the first version
    store(database, 5, minutes_ago=-5)
    store(database, 6)
    async with RawClient.open(server) as client:
        frames = await replayed(client, since=int((time.time() - 300) * 1000))
    assert [frame["payload"]["payload"] for frame in frames] == [{"n": 6}]


@pytest.mark.parametrize(
    ("replay", "count"), [({}, 25), ({"limit": 1000}, 25), ({"limit": 0}, 1), ({"limit": None}, 25)]
)
async def test_the_limit_lies_between_one_and_twenty_five(
    server: Server, database: psycopg.Connection, replay: Json, count: int
) -> None:
    for number in range(26):
        store(database, number)
    async with RawClient.open(server) as client:
        assert len(await replayed(client, since=0, **replay)) == count


async def test_the_second_version_gets_text_for_its_join_and_bytes_as_binary(
    server: Server, database: psycopg.Connection
) -> None:
    store(database, 1, minutes_ago=2)
    store(database, 2, binary_payload=b"\xff")
    payload = {"config": {"private": True, "broadcast": {"replay": {"since": 0}}}, "access_token": user(ANN)}
    async with websockets.connect(server.websocket_url(vsn="2.0.0")) as connection:
        await connection.send(json.dumps(["8", "8", "realtime:room", "phx_join", payload]))
        await connection.recv()
        text, binary = json.loads(await connection.recv()), await connection.recv()
    assert text[:4] == ["8", None, "realtime:room", "broadcast"]
    assert text[4]["meta"]["replayed"] is True
    assert isinstance(binary, bytes)
    assert binary.startswith(b"\x04\x0d\x04")
    assert binary.endswith(b"}\xff")


@pytest.mark.parametrize("replay", [{}, {"since": "0"}, {"since": True}, {"since": 0, "limit": "3"}, [], "all"])
async def test_what_is_no_number_is_refused(server: Server, replay: Any) -> None:
    async with RawClient.open(server) as client:
        reply = await client.join(private=True, token=user(ANN), broadcast={"replay": replay})
    assert reply["response"] == {"reason": "UnableToReplayMessages: Replay params are not valid"}


async def test_a_time_the_database_cannot_hold_is_refused(server: Server) -> None:
    async with RawClient.open(server) as client:
        reply = await client.join(private=True, token=user(ANN), broadcast={"replay": {"since": 10**18}})
    assert reply["response"] == {"reason": "UnableToReplayMessages: Realtime was unable to replay messages"}


async def test_after_the_replay_new_messages_come_live(server: Server, database: psycopg.Connection) -> None:
    store(database, 1)
    async with RawClient.open(server) as client:
        assert len(await replayed(client, since=0)) == 1
        database.execute("""select realtime.send('{"n": 2}', 'news', 'room')""")
        told = (await client.receive())["payload"]
    assert told["payload"]["n"] == 2
    assert "replayed" not in told["meta"]
