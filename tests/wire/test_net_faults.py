"""Faults thrown into pg_net's worker."""

import asyncio

import psycopg
import pytest

from devstack.faults import Faults, ThrownFault
from devstack.net import Net
from tests.conftest import Database
from tests.wire.net_peer import Peer
from tests.wire.sql_support import call, responses, until, worker
from tests.wire.test_net_worker import ASLEEP

EXTENSION = "pg_net with schema extensions"


def send(connection: psycopg.Connection, peer: Peer, *paths: str) -> None:
    with connection.transaction():
        for path in paths:
            call(connection, "net.http_get(%s)", peer.url(path))


async def test_a_dropped_request_is_neither_sent_nor_recorded(
    net: Net, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    faults.net.drop(2)
    send(postgres, peer, "/1", "/2", "/3")
    await until(lambda: [row["content"] for row in responses(postgres)] == ["/3"])
    assert peer.lines() == ["GET /3"]
    assert call(postgres, "count(*) from net.http_request_queue") == 0
    assert faults.pending() == []


async def test_a_resent_request_arrives_as_often_as_was_said_and_is_answered_once(
    net: Net, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    faults.net.resend(arrivals=6)
    send(postgres, peer, "/1")
    await until(lambda: responses(postgres))
    send(postgres, peer, "/2")
    await until(lambda: len(responses(postgres)) == 2)
    assert peer.lines() == ["GET /1"] * 6 + ["GET /2"]


async def test_a_delayed_request_holds_up_what_is_behind_it(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    faults.net.delay(300)
    async with worker(bare_database, batch_size=1):
        send(postgres, peer, "/late", "/behind")
        await peer.received(2)
        taken_at = call(postgres, "min(created) from net._http_response")
    assert peer.lines() == ["GET /late", "GET /behind"]
    late, behind = (row["created"] for row in responses(postgres))
    assert taken_at == late
    assert (behind - late).total_seconds() >= 0.3


async def test_a_lost_wake_leaves_the_request_to_the_next_call(
    net: Net, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    send(postgres, peer, "/first")
    await until(lambda: responses(postgres))
    await until(lambda: call(postgres, ASLEEP))
    faults.net.lose_wakes()
    send(postgres, peer, "/lost")
    await until(lambda: faults.pending() == [])
    assert call(postgres, "count(*) from net.http_request_queue") == 1
    send(postgres, peer, "/next")
    await peer.received(3)
    assert sorted(peer.lines()) == ["GET /first", "GET /lost", "GET /next"]


async def test_a_cancelled_batch_is_sent_again_whole(
    net: Net, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    faults.net.cancel_batches()
    send(postgres, peer, "/1", "/2")
    await until(lambda: len(responses(postgres)) == 2)
    assert sorted(peer.lines()) == ["GET /1", "GET /1", "GET /2", "GET /2"]
    assert faults.pending() == []


async def test_a_lost_queue_leaves_nothing_and_counts_from_one_again(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    async with worker(bare_database, batch_size=1):
        send(postgres, peer, "/first")
        await until(lambda: responses(postgres))
        send(postgres, peer, "/slow", "/lost")
        await peer.received(2)
        await asyncio.to_thread(faults.net.lose_queue)
        assert (responses(postgres), call(postgres, "count(*) from net.http_request_queue")) == ([], 0)
        peer.release.set()
        assert call(postgres, "net.http_get(%s)", peer.url("/after")) == 1
        await until(lambda: [row["id"] for row in responses(postgres)] == [1])
    assert peer.lines() == ["GET /first", "GET /slow", "GET /after"]


async def test_faults_can_be_seen_and_taken_back(
    net: Net, peer: Peer, postgres: psycopg.Connection, faults: Faults
) -> None:
    faults.net.drop(3)
    faults.net.resend(1, arrivals=2)
    assert faults.pending() == [ThrownFault("net", "drop", 3, None), ThrownFault("net", "resend", 1, 2)]
    faults.clear()
    send(postgres, peer, "/1")
    await until(lambda: responses(postgres))
    assert peer.lines() == ["GET /1"]


def test_what_makes_no_sense_is_refused(faults: Faults) -> None:
    for times in (0, -1):
        with pytest.raises(ValueError, match="times must be at least 1"):
            faults.net.drop(times)
    for arrivals in (1, 7):
        with pytest.raises(ValueError, match="arrivals must be from 2 to 6"):
            faults.net.resend(arrivals=arrivals)
    with pytest.raises(ValueError, match="milliseconds must be above 0"):
        faults.net.delay(0)
    assert faults.pending() == []


def test_the_owner_of_the_database_may_write_the_rows_and_nobody_else(postgres: psycopg.Connection) -> None:
    postgres.execute("insert into devstack.faults (service, fault, remaining) values ('net', 'drop', 1)")
    with pytest.raises(psycopg.errors.CheckViolation, match="fault_is_known"):
        postgres.execute("insert into devstack.faults (service, fault) values ('net', 'explode')")
    postgres.execute("set role service_role")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.execute("select * from devstack.faults")
