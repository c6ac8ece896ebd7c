"""The gateway as a server: paths, methods, profiles, tokens, and what a broken connection does to it.

Also home of `serve_schema`, with which the other files of this family start a gateway on a schema of their own.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import psycopg
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from tests.conftest import BARE

SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
USER = "11111111-1111-1111-1111-111111111111"

_numbers = itertools.count(1)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def bearer(role: str = "authenticated", **claims: Any) -> dict[str, str]:
    """An `Authorization` header with a signed token."""
    token = jwt.encode({"role": role, "sub": USER, **claims}, SECRET, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True, slots=True)
class Api:
    """A gateway on a database of its own, and a client that knows its address."""

    rest: Rest
    http: httpx.AsyncClient
    cluster: Cluster
    database: str

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run SQL as postgres, the owner."""
        with psycopg.connect(self.cluster.dsn(self.database), autocommit=True) as connection:
            cursor = connection.execute(text.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def head(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.head(path, headers=headers)

    async def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.post(path, json={} if body is None else body, headers=headers)

    async def patch(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.patch(path, json=body, headers=headers)

    async def delete(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.delete(path, headers=headers)


@asynccontextmanager
async def serve_schema(cluster: Cluster, schema: str, **settings: Any) -> AsyncIterator[Api]:
    """A gateway on a new database in which `schema` was run as postgres."""
    database = f"rest_{next(_numbers)}"
    cluster.clone(BARE, database)
    try:
        with psycopg.connect(cluster.dsn(database), autocommit=True) as connection:
            connection.execute(schema.encode())
        rest = Rest(
            RestSettings(**{"db_dsn": cluster.dsn(database, "authenticator"), "jwt_secret": SECRET, **settings})
        )
        await rest.start()
        try:
            transport = httpx.ASGITransport(rest)
            async with httpx.AsyncClient(transport=transport, base_url="http://rest") as http:
                yield Api(rest, http, cluster, database)
        finally:
            await rest.stop()
    finally:
        cluster.drop(database)


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, whose body must have the four keys that clients insist on."""
    body = response.json()
    assert set(body) == {"code", "message", "details", "hint"}
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["proxy-status"] == f"PostgREST; error={body['code']}"
    return response.status_code, body["code"]


SCHEMA = """
create table public.notes (id int primary key, text text);
insert into public.notes values (1, 'one');
grant select, insert, update, delete on public.notes to anon, authenticated, service_role;
create table public.events (id int, day date) partition by range (day);
create table public.events_2026 partition of public.events for values from ('2026-01-01') to ('2027-01-01');
create schema other;
create table other.notes (id int primary key);
insert into other.notes values (7);
grant usage on schema other to anon;
grant select, insert on other.notes to anon;
create schema hidden;
create table hidden.secrets (id int);
grant usage on schema hidden to anon;
grant select on hidden.secrets to anon;
create function public.sleep(seconds float) returns void language sql as 'select pg_sleep(seconds)';
create function public.echo(text text) returns text language sql stable as 'select text';
create function public.who() returns json language sql stable
as $$ select json_build_object('role', current_user, 'sub', current_setting('request.jwt.claims')::json ->> 'sub') $$;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serve_schema(cluster, SCHEMA, schemas=("public", "other"), max_body=100_000) as api:
        yield api


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "PGRST205"),
        ("GET", "/secrets", 404, "PGRST205"),
        ("GET", "/events_2026", 404, "PGRST205"),
        ("GET", "/notes/1", 404, "PGRST125"),
        ("GET", "/notes/", 404, "PGRST125"),
        ("GET", "/rpc/", 404, "PGRST125"),
        ("GET", "/rpc/nothing", 404, "PGRST202"),
        ("PATCH", "/rpc/who", 405, "PGRST101"),
        ("TRACE", "/notes", 405, "PGRST117"),
        ("PUT", "/notes?id=eq.1&limit=1", 400, "PGRST114"),
        ("GET", "/", 501, "PGRST127"),
        ("GET", "/no%20table%22%00", 404, "PGRST205"),
        ("GET", "/%ff%fe", 404, "PGRST205"),
    ],
)
async def test_what_is_not_there_is_refused_by_its_code(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    assert error_of(await api.http.request(method, path)) == (status, code)


async def test_a_near_miss_gets_a_hint(api: Api) -> None:
    assert (await api.get("/note")).json()["hint"] == "Perhaps you meant the table 'public.notes'"


async def test_a_partitioned_table_is_served(api: Api) -> None:
    api.sql("grant select on public.events to anon")
    assert (await api.get("/events")).json() == []


async def test_a_bad_token_is_told_before_an_unknown_table(api: Api) -> None:
    response = await api.get("/nothing", {"Authorization": "Bearer nonsense"})
    assert error_of(response) == (401, "PGRST301")
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


async def test_an_unknown_table_is_told_before_an_unknown_media_type(api: Api) -> None:
    assert error_of(await api.get("/nothing", {"Accept": "image/png"})) == (404, "PGRST205")
    assert error_of(await api.get("/notes", {"Accept": "image/png"})) == (406, "PGRST107")


async def test_a_bad_query_is_told_before_an_unknown_table(api: Api) -> None:
    assert error_of(await api.get("/nothing?id=bogus")) == (400, "PGRST100")


async def test_reading_heeds_the_accept_profile(api: Api) -> None:
    response = await api.get("/notes", {"Accept-Profile": "other", "Content-Profile": "nonsense"})
    assert response.json() == [{"id": 7}]
    assert response.headers["content-profile"] == "other"


async def test_writing_heeds_the_content_profile(api: Api) -> None:
    headers = {"Content-Profile": "other", "Accept-Profile": "nonsense", "Prefer": "return=representation"}
    assert (await api.post("/notes", {"id": 8}, headers)).json() == [{"id": 8}]
    api.sql("delete from other.notes where id = 8")


async def test_without_a_profile_the_first_schema_is_read(api: Api) -> None:
    response = await api.get("/notes")
    assert response.json() == [{"id": 1, "text": "one"}]
    assert response.headers["content-profile"] == "public"


@pytest.mark.parametrize("name", ["hidden", "pg_catalog", 'public"; drop schema public', ""])
async def test_a_schema_that_is_not_exposed_is_refused(api: Api, name: str) -> None:
    response = await api.get("/notes", {"Accept-Profile": name})
    assert error_of(response) == (406, "PGRST106")
    assert response.json()["hint"] == "Only the following schemas are exposed: public, other"


async def test_head_answers_without_body_and_length(api: Api) -> None:
    response = await api.head("/notes", {"Prefer": "count=exact"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-range"] == "0-0/1"
    assert "content-length" not in response.headers


async def test_an_error_to_head_has_no_body_but_names_its_code(api: Api) -> None:
    response = await api.head("/nothing")
    assert (response.status_code, response.content) == (404, b"")
    assert response.headers["proxy-status"] == "PostgREST; error=PGRST205"


async def test_options_lists_what_the_relation_allows(api: Api) -> None:
    assert (await api.http.options("/notes")).headers["allow"] == "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"
    assert (await api.http.options("/rpc/who")).headers["allow"] == "OPTIONS,GET,HEAD,POST"


async def test_the_mount_point_is_no_part_of_the_path(cluster: Cluster) -> None:
    schema = "create function public.path() returns text language sql as $$select current_setting('request.path')$$"
    async with serve_schema(cluster, schema) as api:
        transport = httpx.ASGITransport(api.rest, root_path="/rest/v1")
        async with httpx.AsyncClient(transport=transport, base_url="http://rest") as http:
            assert (await http.get("/rest/v1/rpc/path")).json() == "/rpc/path"


async def test_a_body_above_the_limit_is_refused(api: Api) -> None:
    response = await api.post("/notes", {"id": 5, "text": "x" * 100_000})
    assert error_of(response) == (413, "PGRST102")
    assert response.headers["connection"] == "close"


async def test_a_body_that_does_not_come_is_not_waited_for(cluster: Cluster) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"id": 5, '
        await asyncio.Event().wait()

    async with serve_schema(cluster, SCHEMA, body_timeout=0.05) as api:
        response = await api.http.post("/notes", content=slowly())
        assert error_of(response) == (408, "PGRST102")
        assert response.headers["connection"] == "close"


async def test_a_token_decides_about_the_role(api: Api) -> None:
    assert (await api.get("/rpc/who")).json() == {"role": "anon", "sub": None}
    assert (await api.get("/rpc/who", bearer())).json() == {"role": "authenticated", "sub": USER}
    assert (await api.get("/rpc/who", bearer("service_role"))).json() == {"role": "service_role", "sub": USER}


async def test_a_role_that_is_unknown_is_401_and_one_that_was_not_granted_403(api: Api) -> None:
    assert error_of(await api.get("/notes", bearer("nobody"))) == (401, "22023")
    assert error_of(await api.get("/notes", bearer("postgres"))) == (403, "42501")
    assert error_of(await api.get("/notes", bearer("supabase_admin"))) == (403, "42501")


async def test_lost_connections_are_replaced_before_anyone_notices(api: Api) -> None:
    await api.get("/notes")
    with api.cluster.connect(api.database) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where usename = 'authenticator' and datname = current_database()"
        )
    for _ in range(5):
        assert (await api.get("/notes")).status_code == 200


async def test_a_gateway_that_was_stopped_says_so(cluster: Cluster) -> None:
    async with serve_schema(cluster, SCHEMA) as api:
        await api.rest.stop()
        assert error_of(await api.get("/notes")) == (503, "PGRST001")


async def test_a_gateway_without_a_database_says_so(cluster: Cluster) -> None:
    async with serve_schema(cluster, SCHEMA, pool_timeout=0.5) as api:
        cluster.drop(api.database)
        assert error_of(await api.get("/notes")) == (503, "PGRST000")
        assert error_of(await api.get("/unknown")) == (503, "PGRST002")
        assert error_of(await api.get("/notes", {"Prefer": "timezone=UTC"})) == (503, "PGRST002")


async def test_a_request_waits_for_a_connection_only_so_long(cluster: Cluster) -> None:
    async with serve_schema(cluster, SCHEMA, pool_size=1, pool_timeout=0.2) as api:
        sleeping = asyncio.create_task(api.post("/rpc/sleep", {"seconds": 1}))
        await until_running(api)
        assert error_of(await api.get("/notes")) == (504, "PGRST003")
        assert (await sleeping).status_code == 204
        assert (await api.get("/notes")).status_code == 200


async def test_a_request_that_is_given_up_leaves_nothing_behind_for_the_next(cluster: Cluster) -> None:
    async with serve_schema(cluster, SCHEMA, pool_size=1) as api:
        sleeping = asyncio.create_task(api.post("/rpc/sleep", {"seconds": 60}))
        await until_running(api)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert (await api.get("/notes")).json() == [{"id": 1, "text": "one"}]


async def test_large_bodies_go_both_ways(cluster: Cluster) -> None:
    async with serve_schema(cluster, SCHEMA) as api:
        text = "x" * 5_000_000
        assert (await api.post("/rpc/echo", {"text": text})).json() == text


async def until_running(api: Api) -> None:
    """Wait until the database runs a call of `sleep`."""
    deadline = time.monotonic() + 5
    running = "select 1 from pg_stat_activity where state = 'active' and wait_event = 'PgSleep' and datname = %s"
    while not api.sql(running, api.database):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
