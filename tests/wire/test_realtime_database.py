"""Broadcast from the database: `realtime.send` and its kin, delivered to those who may hear them."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import LiteralString

import psycopg
import pytest
import pytest_asyncio
import websockets

from devstack.cluster import Cluster
from tests.wire.realtime_support import ANN, Json, RawClient, Server, database_of_module, serve, user, writer

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY: Json = {"replication_ready": True}
SCHEMA = """
create policy members on realtime.messages for select to authenticated using (extension = 'broadcast');
create table public.jobs (id int primary key, cost numeric);
create function public.tell() returns trigger security definer set search_path = '' language plpgsql as $$
begin
  perform realtime.broadcast_changes('room', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
  return null;
end $$;
create trigger tell after insert or update or delete on public.jobs for each row execute function public.tell();
grant insert on public.jobs to anon;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    with database_of_module(cluster, "realtime_database") as database:
        with database.connect() as connection:
            connection.execute(SCHEMA)
        async with serve(database) as running:
            yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection


async def listen(client: RawClient, private: bool = True) -> None:
    """Join the room and wait until broadcasts from the database flow."""
    await client.join(private=private, token=user(ANN), broadcast=READY)
    told = await client.receive()
    message = "Replication connection established"
    assert told["payload"] == {"channel": "room", "extension": "system", "message": message, "status": "ok"}


def last_id(database: psycopg.Connection) -> str:
    row = database.execute("select id::text from realtime.messages order by inserted_at desc limit 1").fetchone()
    assert row is not None
    return str(row[0])


async def test_a_sent_object_reaches_the_private_channel_with_its_id(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client, RawClient.open(server) as public:
        await listen(client)
        await listen(public, private=False)
        database.execute("""select realtime.send('{"cost": 12.50}', 'news', 'room')""")
        frame = await client.receive()
        ref = await public.send("heartbeat", {}, "phoenix")
        assert (await public.receive())["ref"] == ref
    row_id = last_id(database)
    assert frame == {
        "event": "broadcast",
        "topic": "realtime:room",
        "payload": {
            "event": "news",
            "payload": {"id": row_id, "cost": 12.5},
            "type": "broadcast",
            "meta": {"id": row_id},
        },
        "ref": None,
    }


async def test_a_public_message_reaches_the_public_channel_and_keeps_the_id_it_brings(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await listen(client, private=False)
        database.execute("""select realtime.send('{"id": 7}', 'news', 'room', false)""")
        assert (await client.receive())["payload"]["payload"] == {"id": 7}


async def test_row_changes_are_broadcast_by_a_trigger_even_for_those_who_may_not_send(
    server: Server, database: psycopg.Connection
) -> None:
    async with RawClient.open(server) as client:
        await listen(client)
        with database.transaction():
            database.execute("set local role anon")
            database.execute("insert into public.jobs values (1, 2.5)")
        database.execute("update public.jobs set cost = 3")
        database.execute("delete from public.jobs")
        told = [(await client.receive())["payload"] for _ in range(3)]
    contents = [{key: value for key, value in one["payload"].items() if key != "id"} for one in told]
    assert [one["event"] for one in told] == ["INSERT", "UPDATE", "DELETE"]
    assert [one["payload"]["id"] for one in told] == [one["meta"]["id"] for one in told]
    about = {"schema": "public", "table": "jobs"}
    before, after = {"id": 1, "cost": 2.5}, {"id": 1, "cost": 3}
    assert contents == [
        {**about, "operation": "INSERT", "record": before, "old_record": None},
        {**about, "operation": "UPDATE", "record": after, "old_record": before},
        {**about, "operation": "DELETE", "record": None, "old_record": after},
    ]


async def test_bytes_are_broadcast_to_the_second_version_only(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as first, websockets.connect(server.websocket_url(vsn="2.0.0")) as second:
        await listen(first)
        config = {"private": True, "broadcast": READY}
        await second.send(
            json.dumps(["1", "1", "realtime:room", "phx_join", {"config": config, "access_token": user(ANN)}])
        )
        await second.recv(), await second.recv()
        database.execute(r"select realtime.send_binary('\x00ff', 'raw', 'room')")
        meta = json.dumps({"id": last_id(database)}, separators=(",", ":")).encode()
        assert (
            await second.recv() == b"\x04\x0d\x03" + bytes([len(meta)]) + b"\x00realtime:roomraw" + meta + b"\x00\xff"
        )
        ref = await first.send("heartbeat", {}, "phoenix")
        assert (await first.receive())["ref"] == ref


async def test_rolled_back_and_incomplete_rows_are_not_broadcast(server: Server, database: psycopg.Connection) -> None:
    async with RawClient.open(server) as client:
        await listen(client)
        with pytest.raises(ZeroDivisionError), database.transaction():
            database.execute("select realtime.send('{}', 'never', 'room')")
            raise ZeroDivisionError
        insert: LiteralString = "insert into realtime.messages (topic, extension, private"
        database.execute(f"{insert}, payload) values ('room', 'broadcast', true, '{{}}')")
        database.execute(f"{insert}, event) values ('room', 'broadcast', true, 'e')")
        database.execute("select realtime.send('{}', 'news', 'room')")
        assert (await client.receive())["payload"]["event"] == "news"


@pytest.mark.parametrize(
    "call", ["send('{}', 'e', 'room')", r"send_binary('\x00', 'e', 'room')", "send('1', 'e', 'r')"]
)
async def test_who_may_not_send_gets_a_warning_and_goes_on(
    server: Server, database: psycopg.Connection, call: str
) -> None:
    warnings: list[str] = []
    database.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
    with database.transaction():
        if "room" in call:
            database.execute("set local role authenticated")
        database.execute(f"select realtime.{call}".encode())
    assert len(warnings) == 1
    assert warnings[0].startswith("WarnSendingBroadcastMessage: ")


async def test_broadcast_changes_refuses_what_is_no_row_change(server: Server, database: psycopg.Connection) -> None:
    call = "select realtime.broadcast_changes('room', 'e', {}, 'jobs', 'public', null::jobs, null::jobs, {})"
    with pytest.raises(psycopg.errors.RaiseException, match="not for each statement"):
        database.execute(call.format("'INSERT'", "'STATEMENT'").encode())
    with pytest.raises(psycopg.errors.RaiseException, match="Unexpected operation type: TRUNCATE"):
        database.execute(call.format("'TRUNCATE'", "'ROW'").encode())
