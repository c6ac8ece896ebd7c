"""Filters on real rows: every operator, NULL, and columns the log does not hold."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.realtime_support import Json, RawClient, Server, database_of_module, serve, watching, writer

ROWS = """
insert into jobs values
  (1, 'pending',   10,   true,  '2024-01-01', 'low'),
  (2, 'completed', 9.50, false, '2025-01-01', 'high'),
  (3, 'a,b "c"',   100,  null,  null,         null),
  (4, null,        null, null,  'infinity',   'low')
"""

CASES = {
    "": {1, 2, 3, 4},
    "id=eq.2": {2},
    "id=neq.2": {1, 3, 4},
    "id=in.(1,4,9)": {1, 4},
    "id=not.in.(1,4)": {2, 3},
    "id=gt.2": {3, 4},
    "status=eq.pending": {1},
    "status=neq.pending": {2, 3},
    "status=not.eq.pending": {2, 3},
    "status=not.in.(pending,completed)": {3},
    'status=eq."a,b \\"c\\""': {3},
    'status=in.("a,b \\"c\\"",pending)': {1, 3},
    "status=like.%e%": {1, 2},
    "status=not.like.%e%": {3},
    "status=ilike.PEND%": {1},
    "status=match.^p.*g$": {1},
    "status=imatch.^C": {2},
    "status=is.null": {4},
    "status=not.is.null": {1, 2, 3},
    "status=isdistinct.pending": {2, 3, 4},
    "status=not.isdistinct.pending": {1},
    "status=eq.null": set(),
    "cost=eq.9.5": {2},
    "cost=in.(9.500,100.0)": {2, 3},
    "cost=gte.10": {1, 3},
    "cost=lt.10": {2},
    "cost=not.lte.10": {3},
    "cost=isdistinct.10.0": {2, 3, 4},
    "done=is.true": {1},
    "done=is.false": {2},
    "done=is.unknown": {3, 4},
    "done=not.is.true": {2, 3, 4},
    "done=eq.TRUE": {1},
    "due=eq.2024-01-01T00:00:00Z": {1},
    "due=eq.2024-01-01T02:00:00+02:00": {1},
    "due=gt.2024-06-01": {2, 4},
    "level=gt.low": {2},
    "level=eq.low": {1, 4},
    "cost=gte.10,status=eq.pending": {1},
    "id=in.(1,2),done=is.false": {2},
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_filters") as database:
        with database.connect() as connection:
            connection.execute("create type level as enum ('low', 'high')")
            connection.execute(
                "create table jobs"
                " (id int primary key, status text, cost numeric, done boolean, due timestamptz, level level)"
            )
            connection.execute("grant select on jobs to anon")
            connection.execute(
                "create table secrets (id int primary key, hidden text); grant select (id) on secrets to anon"
            )
            connection.execute("alter publication supabase_realtime add table jobs, secrets")
        async with serve(database) as running:
            yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection
        connection.execute("truncate jobs; alter table jobs replica identity default")


async def test_every_operator_matches_the_rows_that_sql_would(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        entries = await client.subscribe(*(watching(filter=text) for text in CASES))
        database.execute(ROWS)
        seen: dict[int, set[int]] = {entry["id"]: set() for entry in entries}
        for _ in range(4):
            frame = await client.receive()
            for number in frame["payload"]["ids"]:
                seen[number].add(frame["payload"]["data"]["record"]["id"])
    assert {text: seen[entry["id"]] for text, entry in zip(CASES, entries, strict=True)} == CASES


async def test_an_update_is_matched_on_the_new_row(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(filter="status=eq.failed"))
        database.execute(ROWS)
        database.execute("update jobs set status = 'failed' where id = 2")
        database.execute("update jobs set status = 'pending' where id = 2")
        database.execute("update jobs set status = 'failed' where id = 3")
        assert [(await client.change())["record"]["id"] for _ in range(2)] == [2, 3]


async def test_a_delete_is_matched_on_the_old_row_which_needs_full_identity(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching(filter="status=eq.pending"), watching(filter="id=eq.2"))
        database.execute(ROWS)
        await client.change(), await client.change()
        database.execute("delete from jobs where id = 1")  # its status is not in the log
        database.execute("delete from jobs where id = 2")
        assert (await client.change())["old_record"] == {"id": 2}
        database.execute("alter table jobs replica identity full")
        database.execute("update jobs set status = 'pending' where id = 3")
        database.execute("delete from jobs where id = 3")
        assert [(await client.change())["type"] for _ in range(2)] == ["UPDATE", "DELETE"]


async def test_a_pattern_that_only_some_values_show_to_be_broken_matches_nothing(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        _, whole = await client.subscribe(watching(filter="status=like.p%\\"), watching(filter="cost=gt.5"))
        database.execute(ROWS)
        frames = [await client.receive() for _ in range(3)]
    assert [frame["payload"]["ids"] for frame in frames] == [[whole["id"]]] * 3


REFUSED = {
    "nothing=eq.1": "invalid column for filter nothing",
    "id=eq.abc": 'invalid input syntax for type integer: "abc"',
    "id=like.1%": "`like` needs a text column, id is integer",
    "id=is.true": "`is.true` needs a boolean column, id is integer",
    "status=match.(": "invalid regular expression",
    "status=eq.\0": "NUL",
    "id=1": 'Error parsing `filter` params: ["id", "1"]',
    "id=wat.1": 'Error parsing `filter` params: ["id", "wat.1"]',
    "id=in.1,2": "`in` filter value must be wrapped by parentheses",
    "id": 'Error parsing `filter` params: ["id"]',
}


async def test_a_filter_that_cannot_work_is_refused_with_its_reason(server: Server) -> None:
    async with RawClient.open(server) as client:
        for text, reason in REFUSED.items():
            message = await refusal(client, watching(filter=text))
            assert reason in message, text


async def test_an_entry_that_cannot_be_subscribed_is_refused_with_its_reason(server: Server) -> None:
    unpublished = "Please check Realtime is enabled for the given connect parameters: [event: *, schema:"
    async with RawClient.open(server) as client:
        for entry, reason in [
            (watching("missing"), unpublished),
            (watching("jobs", schema="other"), unpublished),
            (watching("secrets", filter="hidden=eq.1"), "invalid column for filter hidden"),
            (watching("secrets", select=["id", "hidden"]), "invalid column for filter hidden"),
            (watching("*", filter="id=eq.1"), "need the name of one schema and one table"),
            ({"event": "INSERT"}, "No subscription params provided"),
            (watching(select="id"), "expected a list of column names"),
            (watching(filter=5), "expected text, got 5"),
        ]:
            assert reason in await refusal(client, entry), entry


async def refusal(client: RawClient, entry: Json) -> str:
    """Join with `entry` and leave again; the message of the subscription's error."""
    reply = await client.join(entry)
    assert reply["status"] == "ok"
    system = (await client.receive())["payload"]
    assert (system["extension"], system["status"]) == ("postgres_changes", "error")
    await client.send("phx_leave", {})
    await client.until(lambda frame: frame["event"] == "phx_close")
    return str(system["message"])
