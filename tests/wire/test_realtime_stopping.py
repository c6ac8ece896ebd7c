"""Stopping, at any moment: while a slot is being made, in the middle of a log-in, fifty times at random."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import LiteralString

import psycopg
import pytest

from devstack.realtime import follower, wal
from devstack.realtime.app import Realtime
from devstack.realtime.settings import RealtimeSettings
from devstack.realtime.wal import SlotTimeoutError, WalStream
from devstack.tasks import end
from tests.conftest import Database
from tests.wire.realtime_support import SECRET, RawClient, becomes_true, serve, watching, writer

MESSAGES = "supabase_realtime_messages_publication"
WAITING: LiteralString = """exists (
  select from pg_stat_activity
  where datname = current_database() and backend_type = 'walsender' and wait_event = 'transactionid'
)"""
NO_READER: LiteralString = """not exists (
  select from pg_stat_activity where datname = current_database() and backend_type = 'walsender'
) and not exists (select from pg_replication_slots where database = current_database())"""


def gateway(database: Database) -> Realtime:
    return Realtime(RealtimeSettings(database.dsn("supabase_admin"), SECRET))


@contextlib.contextmanager
def open_transaction(database: Database) -> Iterator[psycopg.Connection]:
    """A transaction that has written and stays open, in another database of the same server."""
    with database.cluster.connect("postgres") as connection, connection.transaction():
        connection.execute("select pg_current_xact_id()")
        yield connection


async def test_a_stop_does_not_wait_for_a_slot_that_an_open_transaction_holds_up(bare_database: Database) -> None:
    with bare_database.connect() as observer, open_transaction(bare_database):
        realtime = gateway(bare_database)
        await realtime.start()
        await becomes_true(observer, WAITING)
        begun = time.monotonic()
        await realtime.stop()
        assert time.monotonic() - begun < 6
        await becomes_true(observer, NO_READER)


async def test_a_slot_that_is_held_up_is_asked_for_again_and_the_log_says_by_whom(
    bare_database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(follower, "_PATIENCE", 0.4)
    with writer(bare_database) as database:
        database.execute("create table jobs (id int primary key); grant select on jobs to anon")
        database.execute("alter publication supabase_realtime add table jobs")
        async with serve(bare_database) as server, RawClient.open(server) as client:
            with caplog.at_level(logging.WARNING), open_transaction(bare_database) as holder:
                subscribing = asyncio.create_task(client.subscribe(watching()))
                deadline = time.monotonic() + 10
                while f"process {holder.info.backend_pid} " not in caplog.text:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.01)
                assert not subscribing.done()
            assert "the server gave no replication slot within" in caplog.text
            await subscribing
            database.execute("insert into jobs values (1)")
            assert (await client.change())["record"] == {"id": 1}


async def test_an_opening_that_is_held_up_leaves_no_session_behind(bare_database: Database) -> None:
    with bare_database.connect() as observer, open_transaction(bare_database):
        with pytest.raises(SlotTimeoutError, match="no replication slot"):
            async with WalStream(bare_database.dsn("supabase_admin"), MESSAGES, patience=0.2):
                pass
        await becomes_true(observer, NO_READER)


@contextlib.asynccontextmanager
async def stalling_proxy(database: Database, answers: int) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """A way to the database that passes on this many of its answers to a log-in, and then nothing more.

    Gives its DSN, an event for when it stalls, and one for when the client has hung up.
    """
    stalled, hung_up = asyncio.Event(), asyncio.Event()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", database.cluster.port)
        forwarding = asyncio.create_task(_forward(reader, to_server))
        for _ in range(answers):
            writer.write(await from_server.read(65536))
        stalled.set()
        await forwarding
        hung_up.set()
        for stream in (writer, to_server):
            stream.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        dsn = database.dsn("supabase_admin").replace(f":{database.cluster.port}/", f":{port}/")
        yield f"{dsn}?sslmode=disable&gssencmode=disable", stalled, hung_up


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@pytest.mark.parametrize("answers", [0, 1])
async def test_a_stop_in_the_middle_of_a_log_in_hangs_up(
    bare_database: Database, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    monkeypatch.setattr(wal, "_GIVE_UP_SECONDS", 0.2)
    async with stalling_proxy(bare_database, answers) as (dsn, stalled, hung_up):
        opening = asyncio.create_task(WalStream(dsn, MESSAGES).__aenter__())
        async with asyncio.timeout(5):
            await stalled.wait()
            await end(opening)
            await hung_up.wait()
        assert opening.cancelled()


async def test_fifty_gateways_are_stopped_at_random_moments(bare_database: Database) -> None:
    moments = random.Random(4)
    with bare_database.connect() as observer:
        for _ in range(50):
            realtime = gateway(bare_database)
            async with asyncio.timeout(10):
                await realtime.start()
                await asyncio.sleep(moments.choice([0, 0.001, moments.random() * 0.02, moments.random() * 0.1]))
                await realtime.stop()
        await becomes_true(observer, NO_READER)


async def test_gateways_are_stopped_in_the_middle_of_their_start(bare_database: Database) -> None:
    moments = random.Random(5)
    with bare_database.connect() as observer:
        for _ in range(20):
            realtime = gateway(bare_database)
            starting = asyncio.create_task(realtime.start())
            async with asyncio.timeout(10):
                await asyncio.sleep(moments.random() * 0.03)
                await end(starting)
                await realtime.stop()
        await becomes_true(observer, NO_READER)
