"""pg_net's tables, functions, messages and rights."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Database
from tests.wire.sql_support import call

EXTENSION = "pg_net with schema extensions"

URL = "http://127.0.0.1:9/hook"


def test_it_is_created_whichever_way_it_is_written(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        connection.execute("create extension if not exists pg_net")
        connection.execute("create extension if not exists pg_net with schema extensions")
        assert call(connection, "extversion from pg_extension where extname = 'pg_net'") == "0.20.4"


def test_a_call_queues_the_request_and_answers_its_number(postgres: psycopg.Connection) -> None:
    assert call(postgres, 'net.http_get(%s, params := \'{"q": "é &", "none": null}\')', URL + "?a=1#top") == 1
    assert call(postgres, 'net.http_post(%s, headers := \'{"X-Key": "k"}\', timeout_milliseconds := 200)', URL) == 2
    assert call(postgres, "net.http_delete(%s, body := '{\"n\": 1}')", URL) == 3
    assert call(postgres, "net.http_post(%s, null, headers := null)", URL) == 4
    rows = postgres.execute("select * from net.http_request_queue order by id").fetchall()
    json = {"Content-Type": "application/json"}
    assert rows == [
        (1, "GET", URL + "?a=1&q=%C3%A9%20%26#top", {}, None, 5000),
        (2, "POST", URL, {"X-Key": "k", **json}, b"{}", 200),
        (3, "DELETE", URL, {}, b'{"n": 1}', 5000),
        (4, "POST", URL, None, None, 5000),
    ]


REFUSALS = [
    ("net.http_get('no address')", "XX000", 'invalid URL "no address": Malformed input to a URL function'),
    ("net.http_get('/relative')", "XX000", 'invalid URL "/relative": Bad scheme'),
    ("net.http_get('localhost:80')", "XX000", 'invalid URL "localhost:80": Unsupported URL scheme'),
    ("net.http_get('http:x')", "XX000", 'invalid URL "http:x": Unsupported number of slashes following scheme'),
    ("net.http_get('http://')", "XX000", 'invalid URL "http://": No host part in the URL'),
    (
        "net.http_get('http://h:port')", "XX000",
        'invalid URL "http://h:port": Port number was not a decimal number between 0 and 65535',
    ),
    (
        "net.http_post('http://h', headers := '{\"content-type\": \"text/plain\"}')", "P0001",
        'Content-Type header must be "application/json"',
    ),
    (
        "net.http_get(null)", "23502",
        'null value in column "url" of relation "http_request_queue" violates not-null constraint',
    ),
    (
        "net.http_get('http://h', timeout_milliseconds := null)", "23502",
        'null value in column "timeout_milliseconds" of relation "http_request_queue" violates not-null constraint',
    ),
    ("net.http_collect_response(1)", "42601", "query has no destination for result data"),
    ("net.check_worker_is_up()", "P0001", "the pg_net background worker is not up"),
]  # fmt: skip


def test_every_refusal_says_what_pg_net_says(postgres: psycopg.Connection) -> None:
    for statement, sqlstate, message in REFUSALS:
        with pytest.raises(psycopg.Error) as refused:
            call(postgres, statement)
        assert (refused.value.sqlstate, refused.value.diag.message_primary) == (sqlstate, message)
    assert call(postgres, "count(*) from net.http_request_queue") == 0


def test_only_three_methods_can_be_queued(postgres: psycopg.Connection) -> None:
    insert = "insert into net.http_request_queue (method, url, timeout_milliseconds) values (%s, %s, 1)"
    for method in ("get", "Post", "DELETE"):
        postgres.execute(insert, (method, URL))
    with pytest.raises(psycopg.errors.CheckViolation):
        postgres.execute(insert, ("PUT", URL))


def test_other_schemes_are_left_to_the_worker(postgres: psycopg.Connection) -> None:
    call(postgres, "net.http_get('ftp://host/file')")
    call(postgres, "net.http_get('file:///etc/hostname')")
    urls = [row[0] for row in postgres.execute("select url from net.http_request_queue order by id")]
    assert urls == ["ftp://host/file", "file:///etc/hostname"]


def test_every_role_may_send_read_and_delete_as_the_extension_ships(postgres: psycopg.Connection) -> None:
    for role in ("anon", "authenticated", "service_role"):
        postgres.execute(f"set role {role}".encode())
        call(postgres, "net.http_get(%s)", URL)
        assert postgres.execute("delete from net.http_request_queue").rowcount == 1
        postgres.execute("insert into net._http_response (id) values (1)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema net"):
        postgres.execute("create table net.mine ()")


def test_a_response_is_collected_by_its_number(postgres: psycopg.Connection) -> None:
    postgres.execute(
        "insert into net._http_response (id, status_code, headers, content, error_msg)"
        " values (1, 201, %s, 'made', null), (2, null, null, null, 'Timeout of 1 ms reached.')",
        (Jsonb({"A": "b"}),),
    )
    collect = "to_jsonb(net._http_collect_response(%s, async := %s))"
    assert call(postgres, collect, 1, False) == {
        "status": "SUCCESS", "message": "ok",
        "response": {"status_code": 201, "headers": {"A": "b"}, "body": "made"},
    }  # fmt: skip
    failed = {"status": "ERROR", "response": None}
    assert call(postgres, collect, 2, True) == {**failed, "message": "Timeout of 1 ms reached."}
    assert call(postgres, collect, 3, True) == {**failed, "message": "request matching request_id not found"}


def test_what_is_odd_in_a_value_is_percent_encoded(postgres: psycopg.Connection) -> None:
    assert call(postgres, "net._urlencode_string('a-b_c.d~ /?&=%é')") == "a-b_c.d~%20%2F%3F%26%3D%25%C3%A9"
    assert call(postgres, "net._urlencode_string('')") == ""
    assert call(postgres, "net._urlencode_string(null)") is None
    assert call(postgres, "net._encode_url_with_params_array(null, null)") is None
    assert call(postgres, "net._encode_url_with_params_array('HTTP://h', '{a=1,NULL,b=2}')") == "http://h/?a=1&b=2"
