"""The life of a channel: join, leave, token refresh, expiry, and what it answers to the unexpected."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.realtime_support import (
    ANN,
    BEN,
    Json,
    RawClient,
    Server,
    database_of_module,
    serve,
    sign,
    user,
    watching,
    writer,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_channels") as database:
        with database.connect() as connection:
            connection.execute(
                "create table jobs (id int primary key, user_id uuid); alter table jobs enable row level security;"
                "grant select on jobs to authenticated;"
                "create policy owners on jobs for select using"
                " (user_id = (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid);"
                "alter publication supabase_realtime add table jobs"
            )
        async with serve(database) as running:
            yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection
        connection.execute("truncate jobs")


def insert(database: psycopg.Connection, number: int, owner: str) -> None:
    database.execute("insert into jobs values (%s, %s)", (number, owner))


def system(status: str, message: str, extension: str = "postgres_changes") -> Json:
    payload = {"channel": "room", "extension": extension, "message": message, "status": status}
    return {"event": "system", "payload": payload, "ref": None, "topic": "realtime:room"}


SUBSCRIBED = system("ok", "Subscribed to PostgreSQL")
CLOSED = {"event": "phx_close", "payload": {}, "ref": "1", "topic": "realtime:room"}


async def test_the_reply_repeats_the_bindings_with_their_ids_and_nothing_else(server: Server) -> None:
    sent: list[Any] = [watching(), None, {"event": "insert", "table": "jobs", "later": [1]}, watching()]
    async with RawClient.open(server) as client:
        ref = await client.send("phx_join", {"config": {"postgres_changes": sent}})
        reply = await client.receive()
        assert await client.receive() == SUBSCRIBED
    entries = reply["payload"]["response"]["postgres_changes"]
    assert (reply["event"], reply["ref"]) == ("phx_reply", ref)
    assert reply.keys() == {"event", "payload", "ref", "topic"}
    assert [{key: entry[key] for key in entry if key != "id"} for entry in entries] == [
        entry for entry in sent if entry is not None
    ]
    assert entries[0]["id"] == entries[2]["id"] != entries[1]["id"]
    assert all(isinstance(entry["id"], int) and entry["id"] for entry in entries)


async def test_everything_in_a_join_may_be_missing_or_unknown(server: Server) -> None:
    async with RawClient.open(server) as client:
        for payload in ({}, {"config": None}, {"config": {"broadcast": None, "unknown": {"wait": True}}}):
            await client.send("phx_join", payload, f"realtime:{len(str(payload))}")
            reply = await client.receive()
            assert reply["payload"] == {"status": "ok", "response": {"postgres_changes": []}}


async def test_a_refused_join_leaves_the_topic_unjoined(server: Server) -> None:
    async with RawClient.open(server) as client:
        assert (await client.join(private=True))["status"] == "error"
        await client.send("broadcast", {"event": "e"})
        unmatched = await client.receive()
    assert unmatched["payload"] == {"status": "error", "response": {"reason": "unmatched topic"}}


async def test_a_join_is_refused_with_its_reason(server: Server) -> None:
    async with RawClient.open(server) as client:
        refused: list[tuple[Json, str]] = [
            ({"access_token": "nonsense"}, "MalformedJWT: The token provided is not a valid JWT"),
            ({"access_token": sign(seconds=-90)}, "InvalidJWTToken: Token has expired 90 seconds ago"),
            ({"user_token": sign(secret="x" * 32)}, "JwtSignatureError: Failed to validate JWT signature"),
            ({"config": {"postgres_changes": {}}}, "InvalidJoin: `postgres_changes` must be a list of objects"),
            ({"config": []}, "InvalidJoin: `config` must be an object"),
            (
                {"config": {"broadcast": {"replay": {"since": 0}}}},
                "UnableToReplayMessages: Replay is not allowed for public channels",
            ),
        ]
        for payload, reason in refused:
            await client.send("phx_join", payload)
            assert (await client.receive())["payload"] == {"status": "error", "response": {"reason": reason}}


async def test_a_topic_needs_a_name_and_its_prefix(server: Server) -> None:
    async with RawClient.open(server) as client:
        nameless = await client.join(topic="realtime:")
        foreign = await client.join(topic="elsewhere:room")
    assert nameless["response"] == {"reason": "TopicNameRequired: You must provide a topic name"}
    assert foreign["response"] == {"reason": "unmatched topic"}


async def test_an_api_key_as_token_stands_for_the_key_of_the_socket(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server, user(ANN)) as client:
        await client.subscribe(watching(), token="sb_publishable_something")
        insert(database, 1, ANN)
        assert (await client.change())["record"]["id"] == 1


async def test_leaving_is_answered_then_closed_and_ends_the_changes(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(), token=user(ANN))
        await client.subscribe(watching(), token=user(ANN), topic="realtime:other")
        ref = await client.send("phx_leave", {}, join_ref="1")
        reply, closed = await client.receive(), await client.receive()
        insert(database, 1, ANN)
        assert (await client.receive())["topic"] == "realtime:other"
        again = await client.send("phx_leave", {})
        assert (await client.receive())["ref"] == again
    assert (reply["ref"], reply["payload"]) == (ref, {"status": "ok", "response": {}})
    assert closed == CLOSED


async def test_a_second_join_takes_the_place_of_the_first(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(), token=user(BEN))
        await client.send("phx_join", {"config": {"postgres_changes": [watching()]}, "access_token": user(ANN)})
        frames = [await client.receive() for _ in range(3)]
        await client.send("phx_leave", {}, join_ref="1")  # stale: ignored
        insert(database, 1, BEN)
        insert(database, 2, ANN)
        change = await client.receive()
    assert [frame["event"] for frame in frames] == ["phx_reply", "phx_close", "system"]
    assert frames[1] == CLOSED
    assert change["payload"]["data"]["record"]["id"] == 2


async def test_a_new_token_is_not_answered_and_changes_what_is_seen(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(), token=user(BEN))
        await client.send("access_token", {"access_token": None})
        await client.send("access_token", {"access_token": "sb_publishable_x"})
        await client.send("access_token", {"access_token": user(ANN)})
        assert await client.receive() == SUBSCRIBED
        insert(database, 1, BEN)
        insert(database, 2, ANN)
        assert (await client.change())["record"]["id"] == 2


async def test_a_bad_new_token_closes_the_channel(server: Server) -> None:
    async with RawClient.open(server) as client:
        for token, message in [
            (sign(seconds=-5), "Token has expired 5 seconds ago"),
            ("nonsense", "The token provided is not a valid JWT"),
            (sign(role=""), "Fields `role` and `exp` are required in JWT"),
        ]:
            await client.subscribe(watching(), token=user(ANN))
            await client.send("access_token", {"access_token": token})
            assert await client.receive() == system("error", message, "system")
            assert (await client.receive())["event"] == "phx_close"


async def test_a_channel_closes_when_its_token_expires_and_the_socket_stays(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(), token=user(ANN, seconds=0.4))
        assert await client.receive() == system("error", "Token has expired 0 seconds ago", "system")
        assert await client.receive() == CLOSED
        insert(database, 1, ANN)
        ref = await client.send("heartbeat", {}, "phoenix")
        assert (await client.receive())["ref"] == ref


async def test_a_refreshed_token_keeps_the_channel_beyond_the_first_expiry(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        short = user(ANN, seconds=0.4)
        await client.subscribe(watching(), token=short)
        await client.send("access_token", {"access_token": user(ANN)})
        assert await client.receive() == SUBSCRIBED
        await client.join(token=short, topic="realtime:brief")
        closed = await client.until(lambda frame: frame["event"] == "phx_close")
        assert closed["topic"] == "realtime:brief"  # the first token is over
        insert(database, 1, ANN)
        assert (await client.receive())["event"] == "postgres_changes"


async def test_a_role_the_database_does_not_know_is_an_error_of_the_subscription(server: Server) -> None:
    async with RawClient.open(server) as client:
        reply = await client.join(watching(), token=sign("nobody_here"))
        message = (await client.receive())["payload"]
    assert (reply["status"], message["status"]) == ("ok", "error")
    assert 'role "nobody_here" does not exist' in message["message"]
