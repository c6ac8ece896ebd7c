"""What the gateway survives and what it leaves behind: restarts, slow clients, silence, its own death."""

import asyncio
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from random import randbytes

import pytest
import websockets

from devstack.cluster import remove_cluster, start_cluster
from devstack.realtime import feed, outgoing
from devstack.realtime import socket as realtime_socket
from tests.conftest import Database
from tests.wire.realtime_support import Json, RawClient, Server, becomes_true, serve, watching, writer

SCHEMA = """
create table jobs (id int primary key); grant select on jobs to anon;
alter publication supabase_realtime add table jobs;
"""


@pytest.fixture
async def server(bare_database: Database) -> AsyncIterator[Server]:
    with bare_database.connect() as connection:
        connection.execute(SCHEMA)
    async with serve(bare_database) as running:
        yield running


OF_CHANGES = "pg_replication_slots where database = current_database() and slot_name not like '%messages%'"
NO_SLOT = f"not exists (select from {OF_CHANGES})"
ONE_SLOT = f"(select count(*) from {OF_CHANGES}) = 1"


async def test_without_subscribers_there_is_no_slot_for_changes(server: Server) -> None:
    with writer(server.database) as database:
        async with RawClient.open(server) as client:
            await client.join()
            assert database.execute(f"select {NO_SLOT}").fetchone() == (True,)
            await client.subscribe(watching(), topic="realtime:changes")
            assert database.execute(f"select {ONE_SLOT}").fetchone() == (True,)
        database.execute("insert into jobs values (1)")  # a sign of life, at which the reader finds itself alone
        await becomes_true(database, NO_SLOT)
        async with RawClient.open(server) as client:
            await client.subscribe(watching())
            database.execute("insert into jobs values (2)")
            assert (await client.change())["record"] == {"id": 2}


async def test_after_a_restart_of_the_database_changes_flow_again_and_everyone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BLIP_SECONDS", 0)
    cluster = start_cluster(tmp_path)
    database = Database(cluster, "postgres")
    try:
        with database.connect() as connection:
            connection.execute(SCHEMA)
        async with serve(database) as server, RawClient.open(server) as client, RawClient.open(server) as late:
            await client.subscribe(watching())
            await asyncio.to_thread(cluster.stop)  # a server that shuts down waits for its readers
            trouble = await client.receive()
            await late.join(watching())
            cluster = await asyncio.to_thread(start_cluster, tmp_path, port=cluster.port)
            again, first = [await one.until(_is_subscribed) for one in (client, late)]
            with database.connect() as connection:
                connection.execute("insert into jobs values (1)")
            assert (await client.change())["record"] == (await late.change())["record"] == {"id": 1}
        assert (trouble["payload"]["extension"], trouble["payload"]["status"]) == ("postgres_changes", "error")
        assert trouble["payload"]["message"].startswith("Unable to subscribe to changes while the database is away")
        assert again["payload"] == first["payload"]
    finally:
        cluster.stop(immediate=True)
        remove_cluster(tmp_path)


def _is_subscribed(frame: Json) -> bool:
    return bool(frame["event"] == "system" and frame["payload"]["message"] == "Subscribed to PostgreSQL")


async def test_a_change_that_cannot_be_decoded_costs_a_new_slot_not_the_subscription(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching())
        with writer(server.database) as database:
            database.execute("drop publication supabase_realtime")
            database.execute("insert into jobs values (1)")  # the plugin fails: its publication is gone
            database.execute("create publication supabase_realtime for table jobs")
            assert (await client.until(lambda frame: frame["event"] == "system"))["payload"]["status"] == "ok"
            database.execute("insert into jobs values (2)")
            assert (await client.change())["record"] == {"id": 2}


async def test_a_subscription_waits_for_the_transactions_that_write(server: Server) -> None:
    async with RawClient.open(server) as client:
        with writer(server.database) as writing, writer(server.database) as watcher:
            with writing.transaction():
                writing.execute("insert into jobs values (1)")
                subscribing = asyncio.create_task(client.subscribe(watching()))
                await becomes_true(
                    watcher,
                    "exists (select from pg_stat_activity"
                    " where backend_type = 'walsender' and wait_event = 'transactionid')",
                )
                assert not subscribing.done()
            await subscribing
            writing.execute("insert into jobs values (2)")
            assert (await client.change())["record"] == {"id": 2}


async def test_a_killed_gateway_leaves_no_slot(bare_database: Database) -> None:
    script = (
        "import asyncio, sys\n"
        "from devstack.realtime.wal import WalStream\n"
        "async def main():\n"
        "    async with WalStream(sys.argv[1], 'supabase_realtime') as stream:\n"
        "        print('open', flush=True)\n"
        "        await stream.read(); await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, bare_database.dsn("supabase_admin"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    with bare_database.connect() as connection:
        assert connection.execute(f"select {ONE_SLOT}").fetchone() == (True,)
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        await becomes_true(connection, NO_SLOT)


@pytest.mark.parametrize("limit", ["_MOST_OF_ONE", "_MOST_TOGETHER"])
async def test_a_client_that_does_not_read_is_closed_and_holds_up_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(outgoing, limit, 3_000_000)
    monkeypatch.setattr(realtime_socket, "_CLOSE_SECONDS", 50)  # the sleeper wakes up only at the end
    async with (
        RawClient.open(server) as sender,
        RawClient.open(server) as hearer,
        websockets.connect(server.websocket_url(), max_size=None, max_queue=1) as sleeper,
    ):
        await sender.join(broadcast={"ack": True})
        await hearer.join()
        await RawClient(sleeper).join()
        for number in range(30):
            text = b64encode(randbytes(750_000)).decode()
            await sender.send("broadcast", {"event": str(number), "payload": {"text": text}})
            assert (await hearer.receive())["payload"]["event"] == str(number)
            assert (await sender.receive())["payload"]["status"] == "ok"
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            while True:
                await sleeper.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1013
    assert "reads too slowly" in caught.value.rcvd.reason


async def test_a_silent_socket_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime_socket, "_SILENCE_SECONDS", 0.1)
    async with RawClient.open(server) as client:
        with pytest.raises(websockets.ConnectionClosedOK) as caught:
            await client.receive()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1000


async def test_stopping_tells_clients_to_come_back(bare_database: Database) -> None:
    async with serve(bare_database) as server:
        connection = await websockets.connect(server.websocket_url())
        client = RawClient(connection)
        await client.join()
    last = await client.receive()
    assert (last["event"], last["topic"], last["ref"]) == ("system", "realtime:room", None)
    assert last["payload"] == {"extension": "system", "status": "ok", "message": "Server requested disconnect"}
    with pytest.raises(websockets.ConnectionClosedError) as caught:
        await client.receive()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
