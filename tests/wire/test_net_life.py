"""The life of pg_net's worker: starts, restarts, ends, and what becomes of its batch."""

import asyncio

import psycopg
import pytest

from devstack.net import Net
from tests.conftest import Database
from tests.wire.net_peer import Peer
from tests.wire.sql_support import call, responses, until, worker
from tests.wire.test_net_worker import WORKERS

EXTENSION = "pg_net with schema extensions"


async def test_what_was_queued_without_a_worker_is_sent_when_it_starts(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    call(postgres, "net.http_get(%s)", peer.url("/waiting"))
    async with worker(bare_database):
        await peer.received(1)
        call(postgres, "net.check_worker_is_up()")
        call(postgres, "net.wait_until_running()")


async def test_a_locked_table_loses_the_wake_until_the_worker_is_restarted(
    net: Net, bare_database: Database, peer: Peer, postgres: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with bare_database.connect("supabase_admin") as other, other.transaction():
        await asyncio.to_thread(other.execute, "lock table net._http_response")  # after a batch, if one is on its way
        call(postgres, "net.http_get(%s)", peer.url("/lost"))
        await until(lambda: "is locked" in caplog.text)
    assert call(postgres, "count(*) from net.http_request_queue") == 1
    assert call(postgres, "net.worker_restart()") is True
    await peer.received(1)


async def test_stopping_waits_for_the_batch_in_flight(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    async with worker(bare_database) as net:
        call(postgres, "net.http_get(%s)", peer.url("/slow"))
        await peer.received(1)
        stopping = asyncio.create_task(net.stop())
        peer.release.set()
        await stopping
    assert [row["content"] for row in responses(postgres)] == ["/slow"]


async def test_a_terminated_worker_finishes_its_batch_and_starts_again(
    net: Net, bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    call(postgres, "net.http_get(%s)", peer.url("/slow"))
    await peer.received(1)
    call(postgres, "net.http_get(%s)", peer.url("/kept"))
    with bare_database.connect("supabase_admin") as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name like 'pg_net %' and datname = current_database()"
        )
    peer.release.set()
    await until(lambda: [row["content"] for row in responses(postgres)] == ["/slow", "/kept"])
    assert peer.lines() == ["GET /slow", "GET /kept"]
    assert call(postgres, "count(*) from net.http_request_queue") == 0


async def test_the_extension_may_come_after_the_worker(bare_database: Database, peer: Peer) -> None:
    async with worker(bare_database):
        with bare_database.connect() as connection:
            connection.execute("create extension pg_net with schema extensions")
            call(connection, "net.http_get(%s)", peer.url("/"))
            await peer.received(1)


async def test_settings_of_the_database_count_after_a_restart_of_the_worker(
    net: Net, bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    with bare_database.connect("supabase_admin") as admin:
        admin.execute(f"alter database {bare_database.name} set pg_net.batch_size = 1".encode())
        admin.execute(f"alter database {bare_database.name} set pg_net.ttl = '1 hour'".encode())
    postgres.execute("insert into net._http_response (id, created) values (-1, now() - interval '2 hours')")
    asked_at = call(postgres, "clock_timestamp()")
    call(postgres, "net.worker_restart()")
    await until(lambda: call(postgres, f"count(*) = 2 from {WORKERS} and backend_start > %s", asked_at))
    with postgres.transaction():
        for path in ("/slow", "/after"):
            call(postgres, "net.http_get(%s)", peer.url(path))
    await peer.received(1)
    assert peer.lines() == ["GET /slow"]
    peer.release.set()
    await until(lambda: [row["content"] for row in responses(postgres)] == ["/slow", "/after"])


@pytest.mark.usefixtures("net")
async def test_what_was_sent_is_logged_without_query_and_password(
    peer: Peer, postgres: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "devstack.net")
    address = peer.url("/logged?key=secret")
    call(postgres, "net.http_get(%s)", address.replace("//", "//ana:secret@"))
    await until(lambda: responses(postgres))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "devstack.net"]
    assert line == f"GET {peer.url('/logged')} 200"
