"""pg_net's worker, sending to a real HTTP server that can also misbehave."""

import re
import time

import psycopg
import pytest
from psycopg.rows import DictRow

from devstack.cluster import free_port
from devstack.net import Net
from tests.conftest import Database
from tests.wire.net_peer import Peer
from tests.wire.sql_support import call, responses, until, worker

EXTENSION = "pg_net with schema extensions"

# Idle for longer than the pause between batches.
WORKERS = "pg_stat_activity where application_name ~ '^pg_net ' and datname = current_database()"
ASLEEP = f"bool_and(clock_timestamp() - state_change > interval '0.2 s') from {WORKERS}"


async def response_to(connection: psycopg.Connection, statement: str, *values: object) -> DictRow:
    number = call(connection, statement, *values)
    found = await until(lambda: [row for row in responses(connection) if row["id"] == number])
    return found[0]


@pytest.mark.usefixtures("net")
async def test_a_post_arrives_as_libcurl_sends_it_and_its_answer_is_kept(
    peer: Peer, postgres: psycopg.Connection
) -> None:
    row = await response_to(postgres, "net.http_post(%s, '{\"n\": 1}', headers := '{\"X-Key\": \"k\", "
                            "\"X-None\": null, \"X-Empty\": \"\"}')", peer.url("/busy"))  # fmt: skip
    (arrival,) = peer.arrivals
    assert (arrival.line, arrival.body) == ("POST /busy", b'{"n": 1}')
    assert arrival.headers == {
        "Host": f"127.0.0.1:{peer.port}", "X-Key": "k", "Content-Type": "application/json",
        "User-Agent": "pg_net/0.20.4", "Accept": "*/*", "Content-Length": "8",
    }  # fmt: skip
    assert row["headers"] == {
        "Retry-After": "7", "X-Case": "Kept", "Content-Length": "5", "Content-Type": "text/plain",
    }  # fmt: skip
    assert (row["status_code"], row["content"], row["content_type"]) == (429, "later", "text/plain")
    assert (row["timed_out"], row["error_msg"]) == (False, None)


@pytest.mark.usefixtures("net")
async def test_bodies_and_their_types_are_those_of_libcurl(peer: Peer, postgres: psycopg.Connection) -> None:
    await response_to(postgres, "net.http_get(%s)", peer.url("/get"))
    await response_to(postgres, "net.http_delete(%s)", peer.url("/delete"))
    await response_to(postgres, "net.http_delete(%s, body := '{}')", peer.url("/delete-body"))
    await response_to(postgres, "net.http_post(%s, null, headers := null)", peer.url("/post"))
    seen = [
        (arrival.line, arrival.body, arrival.headers.get("Content-Type"), arrival.headers.get("Content-Length"))
        for arrival in peer.arrivals
    ]
    form = "application/x-www-form-urlencoded"
    assert seen == [
        ("GET /get", b"", None, None),
        ("DELETE /delete", b"", None, None),
        ("DELETE /delete-body", b"{}", form, "2"),
        ("POST /post", b"", form, "0"),
    ]


@pytest.mark.usefixtures("net")
async def test_redirects_are_followed_and_the_first_hop_s_headers_kept(
    peer: Peer, postgres: psycopg.Connection
) -> None:
    row = await response_to(postgres, "net.http_post(%s)", peer.url("/moved"))
    assert peer.lines() == ["POST /moved", "GET /target"]
    assert peer.arrivals[1].body == b""
    assert "Cookie" not in peer.arrivals[1].headers
    assert (row["status_code"], row["content"]) == (200, "/target")
    assert row["headers"]["Location"] == "/target"
    row = await response_to(postgres, "net.http_get(%s)", peer.url("/loop"))
    assert row["error_msg"] == "Number of redirects hit maximum amount"


@pytest.mark.usefixtures("net")
async def test_contents_are_text_up_to_the_first_nul(peer: Peer, postgres: psycopg.Connection) -> None:
    assert (await response_to(postgres, "net.http_get(%s)", peer.url("/odd")))["content"] == "caf\ufffd "
    assert (await response_to(postgres, "net.http_get(%s)", peer.url("/empty")))["content"] is None


@pytest.mark.usefixtures("net")
async def test_a_slow_answer_is_a_timeout_that_says_where_the_time_went(
    peer: Peer, postgres: psycopg.Connection
) -> None:
    row = await response_to(postgres, "net.http_get(%s, timeout_milliseconds := 80)", peer.url("/slow"))
    assert (row["status_code"], row["timed_out"]) == (None, True)
    told = re.match(r"Timeout of 80 ms reached\. Total time: (\d+\.\d+) ms ", row["error_msg"])
    assert told is not None
    assert float(told[1]) >= 80
    assert "ms (DNS time: 0.000000 ms, TCP/SSL handshake time: " in row["error_msg"]


@pytest.mark.usefixtures("net")
async def test_every_failure_is_recorded_in_libcurl_s_words(peer: Peer, postgres: psycopg.Connection) -> None:
    nobody = free_port()
    expected = {
        f"http://127.0.0.1:{nobody}/": "Couldn't connect to server",
        "http://nobody.invalid/": "Couldn't resolve host name",
        "http://a..b/": "Couldn't resolve host name",
        peer.url("/drop"): "Server returned nothing (no headers, no data)",
        peer.url("/cut"): "Transferred a partial file",
        peer.url("/noise"): "Weird server reply",
        f"https://127.0.0.1:{peer.port}/": "SSL connect error",
        "ftp://127.0.0.1/file": "Unsupported protocol",
        "file:///etc/hostname": "Unsupported protocol",
    }
    for url, words in expected.items():
        row = await response_to(postgres, "net.http_get(%s)", url)
        assert (url, row["error_msg"], row["timed_out"], row["status_code"]) == (url, words, False, None)
    assert peer.lines().count("GET /drop") == 1


@pytest.mark.usefixtures("net")
async def test_a_kept_connection_that_drops_makes_the_request_arrive_twice(
    peer: Peer, postgres: psycopg.Connection
) -> None:
    await response_to(postgres, "net.http_get(%s)", peer.url("/first"))
    row = await response_to(postgres, "net.http_post(%s)", peer.url("/drop-second"))
    assert peer.lines() == ["GET /first", "POST /drop-second", "POST /drop-second"]
    assert row["status_code"] == 200


@pytest.mark.usefixtures("net")
async def test_a_pool_of_dead_connections_makes_a_request_arrive_six_times(
    peer: Peer, postgres: psycopg.Connection
) -> None:
    with postgres.transaction():
        for _ in range(8):
            call(postgres, "net.http_get(%s)", peer.url("/slow"))
    await peer.received(8)
    peer.release.set()
    await until(lambda: len(responses(postgres)) == 8)
    row = await response_to(postgres, "net.http_post(%s)", peer.url("/drop"))
    assert peer.lines().count("POST /drop") == 6
    assert (row["error_msg"], row["timed_out"]) == ("Failed sending data to the peer", False)


async def test_what_is_rolled_back_is_never_sent(net: Net, peer: Peer, postgres: psycopg.Connection) -> None:
    with postgres.transaction(force_rollback=True):
        call(postgres, "net.http_get(%s)", peer.url("/undone"))
    with postgres.transaction():
        with postgres.transaction(force_rollback=True):
            call(postgres, "net.http_get(%s)", peer.url("/savepoint"))
        postgres.execute("select 1")
    await response_to(postgres, "net.http_get(%s)", peer.url("/done"))
    assert peer.lines() == ["GET /done"]


async def test_an_idle_worker_sends_within_milliseconds(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    delays: list[float] = []
    async with worker(bare_database, pause_seconds=0):
        for _ in range(9):
            call(postgres, "net.http_get(%s)", peer.url("/now"))
            committed = time.monotonic()
            await peer.received(len(delays) + 1)
            delays.append(peer.arrivals[-1].at - committed)
    assert sorted(delays)[4] < 0.05


async def test_a_batch_runs_at_once_and_holds_up_what_comes_after_it(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    async with worker(bare_database, batch_size=2):
        with postgres.transaction():
            for path in ("/slow", "/slow", "/after"):
                call(postgres, "net.http_get(%s)", peer.url(path))
        await peer.received(2)
        assert peer.lines() == ["GET /slow", "GET /slow"]
        assert responses(postgres) == []
        peer.release.set()
        await peer.received(3)
        await until(lambda: len(responses(postgres)) == 3)
        rows = responses(postgres)
        assert rows[0]["created"] == rows[1]["created"] < rows[2]["created"]


async def test_the_worker_rests_after_a_batch_and_only_the_first_wake_cuts_that_short(
    bare_database: Database, peer: Peer, postgres: psycopg.Connection
) -> None:
    call(postgres, "net.http_get(%s)", peer.url("/before-the-start"))
    async with worker(bare_database, pause_seconds=0.8):
        for count in (1, 2):
            await peer.received(count)
            await until(lambda: not call(postgres, "count(*) from net.http_request_queue"))
            call(postgres, "net.http_get(%s)", peer.url("/"))
        await peer.received(3)
    first, second, third = (arrival.at for arrival in peer.arrivals)
    assert second - first < 0.6
    assert third - second > 0.7


@pytest.mark.usefixtures("net")
async def test_rows_written_into_the_queue_wait_for_a_wake(peer: Peer, postgres: psycopg.Connection) -> None:
    await response_to(postgres, "net.http_get(%s)", peer.url("/first"))
    await until(lambda: call(postgres, ASLEEP))
    insert = "insert into net.http_request_queue (method, url, timeout_milliseconds) values ('get', %s, 0)"
    postgres.execute(insert, (peer.url("/written"),))
    written = call(postgres, "clock_timestamp()")
    # it has slept for longer than its pause since then: what it does not know of by now it will not learn
    since = "bool_and(state_change < %s and clock_timestamp() - interval '0.2 s' > %s) from "
    await until(lambda: call(postgres, since + WORKERS, written, written))
    assert peer.lines() == ["GET /first"]
    call(postgres, "net.wake()")
    await peer.received(2)
    assert peer.lines() == ["GET /first", "GET /written"]


@pytest.mark.usefixtures("net")
async def test_old_responses_go_when_the_worker_wakes(postgres: psycopg.Connection) -> None:
    postgres.execute("insert into net._http_response (id, created) values (1, now() - interval '7 hours'), (2, now())")
    call(postgres, "net.wake()")
    await until(lambda: [row["id"] for row in responses(postgres)] == [2])
