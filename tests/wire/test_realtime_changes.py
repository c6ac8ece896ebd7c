"""Row changes as messages: their shape, their order, and what is known of the row before."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from tests.conftest import Database
from tests.wire.realtime_support import RawClient, Server, serve, watching, writer


@pytest.fixture
async def server(bare_database: Database) -> AsyncIterator[Server]:
    with bare_database.connect() as connection:
        connection.execute("create table jobs (id int primary key, status text, note text)")
        connection.execute("grant select on jobs to anon")
        connection.execute("alter publication supabase_realtime add table jobs")
    async with serve(bare_database) as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection


async def test_an_insert_arrives_in_the_documented_shape(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        [entry] = await client.subscribe(watching())
        database.execute("insert into jobs values (1, 'pending', null)")
        frame = await client.receive()
    committed_at = frame["payload"]["data"].pop("commit_timestamp")
    assert frame == {
        "event": "postgres_changes",
        "topic": "realtime:room",
        "ref": None,
        "payload": {
            "ids": [entry["id"]],
            "data": {
                "schema": "public",
                "table": "jobs",
                "type": "INSERT",
                "errors": None,
                "columns": [
                    {"name": "id", "type": "int4"},
                    {"name": "status", "type": "text"},
                    {"name": "note", "type": "text"},
                ],
                "record": {"id": 1, "status": "pending", "note": None},
            },
        },
    }
    assert committed_at.endswith("Z")
    assert len(committed_at) == len("2026-11-21T07:11:00.695Z")


async def test_an_update_names_the_key_of_the_old_row_although_it_did_not_change(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        database.execute("insert into jobs values (1, 'pending')")
        database.execute("update jobs set status = 'completed'")
        await client.change()
        change = await client.change()
    assert change["record"] == {"id": 1, "status": "completed", "note": None}
    assert change["old_record"] == {"id": 1}


async def test_an_update_of_the_key_names_the_old_one(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(event="UPDATE"))
        database.execute("insert into jobs values (1, 'pending')")
        database.execute("update jobs set id = 2")
        change = await client.change()
    assert (change["record"]["id"], change["old_record"]) == (2, {"id": 1})


async def test_a_delete_has_the_old_key_and_no_record(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(event="DELETE"))
        database.execute("insert into jobs values (1, 'pending')")
        database.execute("delete from jobs")
        change = await client.change()
    assert change["old_record"] == {"id": 1}
    assert "record" not in change
    assert [column["name"] for column in change["columns"]] == ["id", "status", "note"]


async def test_full_replica_identity_gives_the_whole_old_row(server: Server, database: psycopg.Connection) -> None:
    database.execute("alter table jobs replica identity full")
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        database.execute("insert into jobs values (1, 'pending', 'n')")
        database.execute("update jobs set status = 'failed'")
        database.execute("delete from jobs")
        await client.change()
        update, delete = await client.change(), await client.change()
    assert update["old_record"] == {"id": 1, "status": "pending", "note": "n"}
    assert delete["old_record"] == {"id": 1, "status": "failed", "note": "n"}


async def test_an_unchanged_large_value_is_absent_from_an_update(server: Server, database: psycopg.Connection) -> None:
    database.execute("alter table jobs alter note set storage external")
    async with RawClient.open(server) as client:
        await client.subscribe(watching(event="UPDATE"))
        database.execute("insert into jobs values (1, 'pending', repeat('x', 10000))")
        database.execute("update jobs set status = 'failed'")
        assert (await client.change())["record"] == {"id": 1, "status": "failed"}
        database.execute("alter table jobs replica identity full")
        database.execute("update jobs set status = 'completed'")
        assert (await client.change())["record"] == {"id": 1, "status": "completed", "note": "x" * 10000}


async def test_many_changes_of_one_transaction_arrive_in_order(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        with database.transaction():
            for number in range(700):
                database.execute("insert into jobs values (%s, 'pending')", (number,))
                database.execute("update jobs set status = 'completed' where id = %s", (number,))
        seen = [await client.change() for _ in range(1400)]
    assert [(change["type"], change["record"]["id"]) for change in seen] == [
        (kind, number) for number in range(700) for kind in ("INSERT", "UPDATE")
    ]
    assert len({change["commit_timestamp"] for change in seen}) == 1


async def test_a_rolled_back_transaction_gives_nothing(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        with database.transaction(force_rollback=True):
            database.execute("insert into jobs values (1, 'never')")
        database.execute("insert into jobs values (2, 'pending')")
        database.execute("truncate jobs")
        database.execute("insert into jobs values (3, 'pending')")
        assert [(await client.change())["record"]["id"] for _ in range(2)] == [2, 3]


async def test_one_message_names_every_binding_of_a_channel_that_matches(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        entries = await client.subscribe(
            watching(),
            watching(event="INSERT"),
            watching(event="DELETE"),
            watching(),
            {"event": "insert", "schema": "*"},
        )
        database.execute("insert into jobs values (1, 'pending')")
        frame = await client.receive()
        database.execute("insert into jobs values (2, 'pending')")
        next_frame = await client.receive()
    ids = [entry["id"] for entry in entries]
    assert ids[0] == ids[3]
    assert sorted(frame["payload"]["ids"]) == sorted({ids[0], ids[1], ids[4]})
    assert next_frame["payload"]["data"]["record"]["id"] == 2


async def test_bindings_that_select_columns_get_these_and_the_key(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        whole, part = await client.subscribe(watching(), watching(select=["status"]))
        database.execute("insert into jobs values (1, 'pending', 'n')")
        frames = {frame["payload"]["ids"][0]: frame for frame in [await client.receive(), await client.receive()]}
    assert frames[whole["id"]]["payload"]["data"]["record"] == {"id": 1, "status": "pending", "note": "n"}
    assert frames[part["id"]]["payload"]["data"]["record"] == {"id": 1, "status": "pending"}
    assert [column["name"] for column in frames[part["id"]]["payload"]["data"]["columns"]] == ["id", "status"]


async def test_a_change_too_large_to_send_says_so_and_keeps_the_short_values(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        database.execute("insert into jobs values (1, 'pending', repeat('x', 1048577))")
        change = await client.change()
    assert change["errors"] == ["Error 413: Payload Too Large"]
    assert change["record"] == {"id": 1, "status": "pending"}


async def test_a_table_without_key_gives_an_error_instead_of_its_rows(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute("create table keyless (id int); grant select on keyless to anon")
    database.execute("alter publication supabase_realtime add table keyless")
    async with RawClient.open(server) as client:
        await client.subscribe(watching("keyless", filter="id=eq.7"))
        database.execute("insert into keyless values (1)")
        change = await client.change()
    assert change["errors"] == ["Error 400: Bad Request, no primary key"]
    assert (change["record"], change["columns"], change["commit_timestamp"]) == ({}, [], None)


async def test_a_column_added_while_subscribed_is_in_the_next_change(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        database.execute("insert into jobs values (1, 'pending')")
        await client.change()
        database.execute("alter table jobs add column cost numeric default 1.50")
        database.execute("update jobs set status = 'failed'")
        change = await client.change()
    assert change["record"] == {"id": 1, "status": "failed", "note": None, "cost": 1.5}
    assert change["columns"][-1] == {"name": "cost", "type": "numeric"}


async def test_a_table_published_while_subscribed_reaches_a_wildcard(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe({"event": "*", "schema": "public"})
        database.execute("create table later (id int primary key); grant select on later to anon")
        database.execute("alter publication supabase_realtime add table later")
        database.execute("insert into later values (5)")
        change = await client.change()
    assert (change["table"], change["record"]) == ("later", {"id": 5})


async def test_postgres_owns_the_publication_and_may_make_it_anew(server: Server, database: psycopg.Connection) -> None:
    database.execute("drop publication supabase_realtime")
    database.execute("create publication supabase_realtime for table jobs")
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        database.execute("insert into jobs values (1, 'pending')")
        assert (await client.change())["record"]["id"] == 1
