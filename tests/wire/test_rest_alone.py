"""The gateway alone: `python -m devstack.rest`, told what to do by PostgREST's own settings."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import jwt
import pytest

from devstack.cluster import free_port
from devstack.rest.__main__ import settings_from
from devstack.rest.settings import RestSettings
from tests.conftest import Database

SECRET = "a secret that is long enough for everybody"

SCHEMA = """
create schema api;
grant usage on schema api to anon, authenticated;
create table api.items (id int primary key);
insert into api.items select generate_series(1, 5);
grant select, insert, delete on api.items to anon, authenticated;
create function public.setting(name text) returns text language sql stable as 'select current_setting(name, true)';
create function api.setting(name text) returns text language sql stable as 'select public.setting(name)';
create function public.prepare() returns void language sql as $$select set_config('my.turn', 'yes', true)$$;
"""


@pytest.fixture
def base(bare_database: Database) -> Iterator[str]:
    """The address of a gateway in a process of its own."""
    with bare_database.connect() as connection:
        connection.execute(SCHEMA.encode())
    port = free_port()
    told = {
        "PGRST_DB_URI": bare_database.dsn("authenticator"),
        "PGRST_DB_SCHEMAS": "api, public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_JWT_SECRET": SECRET,
        "PGRST_JWT_AUD": "me",
        "PGRST_DB_PRE_REQUEST": "public.prepare",
        "PGRST_DB_TX_END": "rollback-allow-override",
        "PGRST_DB_MAX_ROWS": "3",
        "PGRST_DB_EXTRA_SEARCH_PATH": "public, extensions",
        "PGRST_APP_SETTINGS_PLACE": "here",
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
    }
    with _running(told) as process:
        _wait_until_it_answers(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def _running(told: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "devstack.rest"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PGRST_")}
    return subprocess.Popen(command, env={**environment, **told}, stderr=subprocess.PIPE, text=True)


def _wait_until_it_answers(address: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(address)
            return
        except httpx.TransportError:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_body_without_end_is_refused_and_the_line_cut(base: str) -> None:
    url = httpx.URL(base)
    head = b"POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection((url.host, url.port), timeout=10) as line:
        line.sendall(head)
        with contextlib.suppress(ConnectionError):
            while sent < 200 * 2**20:
                line.sendall(chunk)
                sent += len(chunk)
    assert sent < 200 * 2**20


def test_it_serves_at_the_root_as_it_is_told(base: str) -> None:
    token = jwt.encode({"role": "authenticated", "aud": "me"}, SECRET, algorithm="HS256")
    stranger = jwt.encode({"role": "authenticated", "aud": "you"}, SECRET, algorithm="HS256")
    with httpx.Client(base_url=base) as http:
        items = http.get("/items?order=id")
        assert items.json() == [{"id": 1}, {"id": 2}, {"id": 3}]
        assert items.headers["content-profile"] == "api"
        assert items.headers["access-control-allow-origin"] == "*"
        for name, value in (
            ("role", "anon"),
            ("my.turn", "yes"),
            ("app.settings.place", "here"),
            ("request.path", "/rpc/setting"),
            ("search_path", '"api", "public", "extensions"'),
        ):
            assert http.get("/rpc/setting", params={"name": name}).json() == value
        bearer = {"Authorization": f"Bearer {token}"}
        assert http.get("/rpc/setting?name=role", headers=bearer).json() == "authenticated"
        refused = http.get("/items", headers={"Authorization": f"Bearer {stranger}"})
        assert (refused.status_code, refused.json()["message"]) == (401, "JWT not in audience")
        assert http.post("/items", json={"id": 6}).status_code == 201
        assert http.get("/items?id=eq.6").json() == []
        kept = http.post("/items", json={"id": 6}, headers={"Prefer": "tx=commit"})
        assert kept.headers["preference-applied"] == "tx=commit"
        assert http.get("/items?id=eq.6").json() == [{"id": 6}]
        assert http.delete("/items").status_code == 204
        preflight = {"Origin": "http://x", "Access-Control-Request-Method": "POST"}
        asked = http.options("/", headers={**preflight, "Access-Control-Request-Headers": "Foo,Bar"})
        assert asked.headers["access-control-allow-headers"] == (
            "Authorization, Foo, Bar, Accept, Accept-Language, Content-Language"
        )


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"PGRST_DB_TX_END": "perhaps"}, "PGRST_DB_TX_END must be one of commit,"),
        ({"PGRST_DB_MAX_ROWS": "many"}, "PGRST_DB_MAX_ROWS must be a whole number; it is 'many'"),
        ({"PGRST_JWT_SECRET": "@/nowhere"}, "PGRST_JWT_SECRET names the file /nowhere, which cannot be read"),
        ({"PGRST_JWT_SECRET": "{}"}, "jwt_secret looks like JSON but"),
        ({"PGRST_DB_URI": "postgresql://127.0.0.1:1/none"}, "the database of PGRST_DB_URI cannot be reached"),
    ],
)
def test_a_setting_that_makes_no_sense_ends_it_with_a_word(told: Mapping[str, str], said: str) -> None:
    with _running(told) as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said in error
    assert "Traceback" not in error


def test_what_is_not_told_is_as_in_postgrest(tmp_path: Path) -> None:
    assert settings_from({}) == RestSettings(
        db_dsn="postgresql://",
        anon_role=None,
        max_rows=None,
        extra_search_path=("public",),
        safe_update_roles=frozenset(),
    )
    assert settings_from({"PGRST_DB_EXTRA_SEARCH_PATH": ""}).extra_search_path == ()
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    assert settings_from({"PGRST_JWT_SECRET": f"@{secret}"}).jwt_secret == "from a file"
