"""Who may see which change: row-level security and column privileges, judged as the subscriber."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from tests.conftest import Database
from tests.wire.realtime_support import ANN, BEN, Json, RawClient, Server, serve, sign, user, watching, writer

SCHEMA = """
create table jobs (id int primary key, user_id uuid, status text, secret text);
alter table jobs enable row level security;
grant select (id, user_id, status) on jobs to authenticated, anon;
grant select on jobs to service_role;
create policy owners on jobs for select to authenticated
  using (user_id = (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid);
alter publication supabase_realtime add table jobs;
"""


@pytest.fixture
async def server(bare_database: Database) -> AsyncIterator[Server]:
    with bare_database.connect() as connection:
        connection.execute(SCHEMA)
    async with serve(bare_database) as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection


async def watch_as(stack: AsyncExitStack, server: Server, *tokens: str) -> list[RawClient]:
    """One subscribed client for each token."""
    clients = []
    for token in tokens:
        client = await stack.enter_async_context(RawClient.open(server))
        await client.subscribe(watching(), token=token)
        clients.append(client)
    return clients


async def records_until(client: RawClient, last: int) -> list[Json]:
    """The changes up to the one of row `last`, which everybody here may see."""
    changes: list[Json] = []
    while True:
        change = await client.change()
        if (change.get("record") or change["old_record"])["id"] == last:
            return changes
        changes.append(change)


async def test_the_owner_sees_a_row_and_the_second_user_sees_nothing(
    server: Server, database: psycopg.Connection
) -> None:
    async with AsyncExitStack() as stack:
        ann, ben, anon, service = await watch_as(
            stack, server, user(ANN), user(BEN), sign("anon"), sign("service_role")
        )
        database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
        database.execute("update jobs set status = 'completed'")
        database.execute("insert into jobs values (2, %s, 'pending', 's')", (BEN,))
        database.execute("insert into jobs values (9, null, '', '')")
        database.execute("delete from jobs where id = 9")  # a delete is everybody's
        seen = [await records_until(client, 9) for client in (ann, ben, anon)]
        everything = await records_until(service, 9)
    assert [[(change["type"], change["record"]["id"]) for change in changes] for changes in seen] == [
        [("INSERT", 1), ("UPDATE", 1)],
        [("INSERT", 2)],
        [],
    ]
    assert [change["record"]["id"] for change in everything][:3] == [1, 1, 2]


async def test_columns_that_a_role_may_not_read_are_left_out(server: Server, database: psycopg.Connection) -> None:
    async with AsyncExitStack() as stack:
        ann, service = await watch_as(stack, server, user(ANN), sign("service_role"))
        database.execute("insert into jobs values (1, %s, 'pending', 'hidden')", (ANN,))
        shown, whole = await ann.change(), await service.change()
    assert shown["record"] == {"id": 1, "user_id": ANN, "status": "pending"}
    assert [column["name"] for column in shown["columns"]] == ["id", "user_id", "status"]
    assert whole["record"]["secret"] == "hidden"


async def test_a_delete_is_reduced_to_the_key_although_the_identity_is_full(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute("alter table jobs replica identity full")
    async with AsyncExitStack() as stack:
        (ben,) = await watch_as(stack, server, user(BEN))
        database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
        database.execute("delete from jobs")
        change = await ben.change()
    assert (change["type"], change["old_record"]) == ("DELETE", {"id": 1})


async def test_an_update_under_full_identity_shows_the_whole_old_row(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute("alter table jobs replica identity full")
    database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
    async with AsyncExitStack() as stack:
        (ann,) = await watch_as(stack, server, user(ANN))
        database.execute("update jobs set status = 'failed'")
        change = await ann.change()
    assert change["old_record"] == {"id": 1, "user_id": ANN, "status": "pending"}


async def test_a_row_that_changes_hands_is_shown_to_the_new_owner_alone(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
    async with AsyncExitStack() as stack:
        ann, ben = await watch_as(stack, server, user(ANN), user(BEN))
        database.execute("update jobs set user_id = %s", (BEN,))
        assert (await ben.change())["record"]["user_id"] == BEN
        database.execute("delete from jobs")
        assert (await ann.change())["type"] == "DELETE"


async def test_a_row_gone_before_the_check_shows_only_its_delete(server: Server, database: psycopg.Connection) -> None:
    async with AsyncExitStack() as stack:
        (ann,) = await watch_as(stack, server, user(ANN))
        with database.transaction():
            database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
            database.execute("delete from jobs")
        assert (await ann.change())["type"] == "DELETE"


async def test_a_role_that_may_not_read_the_key_gets_an_error(server: Server, database: psycopg.Connection) -> None:
    database.execute("revoke select on jobs from anon; grant select (status) on jobs to anon")
    async with AsyncExitStack() as stack:
        (anon,) = await watch_as(stack, server, sign("anon"))
        database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
        database.execute("update jobs set status = 'failed'")
        insert, update = await anon.change(), await anon.change()
    assert insert["errors"] == update["errors"] == ["Error 401: Unauthorized"]
    assert (insert["record"], update["record"], update["old_record"]) == ({}, {}, {})


async def test_a_revoked_column_disappears_from_the_next_change(server: Server, database: psycopg.Connection) -> None:
    database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
    async with AsyncExitStack() as stack:
        (ann,) = await watch_as(stack, server, user(ANN))
        database.execute("update jobs set status = 'processing'")
        assert "status" in (await ann.change())["record"]
        database.execute("revoke select (status) on jobs from authenticated")
        database.execute("update jobs set status = 'failed'")
        assert (await ann.change())["record"] == {"id": 1, "user_id": ANN}


async def test_turning_row_level_security_on_hides_the_next_change(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute("create table notes (id int primary key); grant select on notes to anon")
    database.execute("alter publication supabase_realtime add table notes")
    async with RawClient.open(server) as client:
        await client.subscribe(watching("notes"))
        database.execute("insert into notes values (1)")
        assert (await client.change())["record"] == {"id": 1}
        database.execute("alter table notes enable row level security")
        database.execute("insert into notes values (2)")
        database.execute("delete from notes where id = 1")
        assert (await client.change())["old_record"] == {"id": 1}


async def test_a_policy_that_raises_hides_the_row_and_stops_nobody_else(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute("create policy broken on jobs for select to anon using (1 / (id - id) = 1)")
    async with AsyncExitStack() as stack:
        anon, ann = await watch_as(stack, server, sign("anon"), user(ANN))
        database.execute("insert into jobs values (1, %s, 'pending', 's')", (ANN,))
        assert (await ann.change())["record"]["id"] == 1
        database.execute("delete from jobs")
        assert (await anon.change())["type"] == "DELETE"


async def test_policies_see_the_claims_of_the_subscriber_and_leave_no_trace(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute(
        "create table audit (seen text); grant all on audit to authenticated;"
        "create function look() returns boolean language plpgsql as $$ begin"
        "  insert into audit values (current_setting('request.jwt.claims')); "
        "  return (current_setting('request.jwt.claims')::jsonb ->> 'plan') = 'gold'"
        "    and current_user = 'authenticated';"
        "end $$;"
        "create table gifts (id int primary key); alter table gifts enable row level security;"
        "grant select on gifts to authenticated; create policy gold on gifts for select using (look());"
        "alter publication supabase_realtime add table gifts"
    )
    async with RawClient.open(server) as gold, RawClient.open(server) as silver:
        await gold.subscribe(watching("gifts"), token=user(ANN, plan="gold"))
        await silver.subscribe(watching("gifts"), token=user(ANN, plan="silver"))
        database.execute("insert into gifts values (1)")
        assert (await gold.change())["type"] == "INSERT"
        database.execute("delete from gifts")
        assert (await silver.change())["type"] == "DELETE"
    assert database.execute("select count(*) from audit").fetchone() == (0,)


async def test_keys_of_several_columns_and_awkward_names_are_checked(
    server: Server, database: psycopg.Connection
) -> None:
    database.execute(
        'create schema "Odd"; grant usage on schema "Odd" to authenticated;'
        """create table "Odd"."it's" ("B b" text, "a""b" timestamptz, mine boolean, primary key ("a""b", "B b"));"""
        """alter table "Odd"."it's" enable row level security; grant select on "Odd"."it's" to authenticated;"""
        """create policy mine on "Odd"."it's" for select using (mine);"""
        """alter publication supabase_realtime add table "Odd"."it's" """
    )
    async with RawClient.open(server) as client:
        await client.subscribe({"event": "*", "schema": "Odd", "table": "it's"}, token=user(ANN))
        insert = """insert into "Odd"."it's" values (%s, '2024-01-02 03:04:05.6+02', %s)"""
        database.execute(insert, ("x'y\\z", False))
        database.execute(insert, ("it's \\ odd", True))
        change = await client.change()
    assert change["record"] == {"B b": "it's \\ odd", 'a"b': "2024-01-02T01:04:05.6+00:00", "mine": True}
