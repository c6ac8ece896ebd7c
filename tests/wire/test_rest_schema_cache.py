"""The gateway follows the schema: DDL is seen at once, and a stale plan never outlives it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from devstack.rest.schema_cache import SchemaCache
from tests.wire.test_rest_server import Api, error_of, serve_schema

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.first (id int primary key, name text);
insert into public.first values (1, 'one');
grant select, insert on public.first to anon;
create function public.answer() returns int language sql stable as 'select 1';
"""


@pytest_asyncio.fixture(loop_scope="module")
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serve_schema(cluster, SCHEMA) as api:
        yield api


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 5
    while not await condition():
        assert time.monotonic() < deadline, "the gateway did not follow"
        await asyncio.sleep(0.01)


async def test_a_new_table_is_there_for_the_next_request(api: Api) -> None:
    assert error_of(await api.get("/second")) == (404, "PGRST205")
    api.sql("create table public.second (id int); grant select on public.second to anon")
    assert (await api.get("/second")).json() == []


async def test_a_new_function_is_there_for_the_next_request(api: Api) -> None:
    api.sql("create function public.later(a int) returns int language sql as 'select a'")
    assert (await api.post("/rpc/later", {"a": 5})).json() == 5


async def test_a_new_column_is_there_for_the_next_request(api: Api) -> None:
    api.sql("alter table public.first add column added text")
    response = await api.post("/first?select=added", {"id": 2, "added": "x"}, {"Prefer": "return=representation"})
    assert response.json() == [{"added": "x"}]


async def test_a_dropped_table_is_gone_soon(api: Api) -> None:
    assert (await api.get("/first")).status_code == 200
    api.sql("drop table public.first")

    async def gone() -> bool:
        return error_of(await api.get("/first")) == (404, "PGRST205")

    await until(gone)


async def test_a_function_with_a_new_result_is_called_anew(api: Api) -> None:
    assert (await api.post("/rpc/answer")).json() == 1
    api.sql("drop function public.answer()")
    api.sql("create function public.answer() returns table (n int) language sql stable as 'select 2'")

    async def new() -> bool:
        return bool((await api.post("/rpc/answer")).json() == [{"n": 2}])

    await until(new)


async def test_a_function_with_a_new_body_needs_no_notice(api: Api) -> None:
    for number in (2, 3, 4):
        api.sql(f"create or replace function public.answer() returns int language sql stable as 'select {number}'")
        assert (await api.post("/rpc/answer")).json() == number


async def test_a_column_that_changes_its_type_does_not_break_a_remembered_plan(api: Api) -> None:
    api.sql(
        "create function public.rows() returns setof public.first language sql stable as 'select * from public.first'"
    )
    assert (await api.get("/rpc/rows")).json() == [{"id": 1, "name": "one"}]
    api.sql("alter table public.first alter column name type jsonb using to_jsonb(name), add column more int")
    assert (await api.get("/rpc/rows")).json() == [{"id": 1, "name": "one", "more": None}]


async def test_a_notice_by_hand_reloads_the_settings_of_roles(api: Api) -> None:
    api.sql(
        "create function public.timeout() returns text language sql as $$select current_setting('statement_timeout')$$"
    )
    api.sql("alter role service_role set statement_timeout = '1234ms'")
    try:
        api.sql("notify pgrst, 'reload config'")

        async def set_now() -> bool:
            role = api.rest._cache.current.roles.get("service_role")
            return role is not None and ("statement_timeout", "1234ms") in role.settings

        await until(set_now)
    finally:
        api.sql("alter role service_role reset statement_timeout")


async def test_temporary_objects_and_indexes_give_no_notice(api: Api) -> None:
    with psycopg.connect(api.cluster.dsn(api.database), autocommit=True) as listener:
        listener.execute("listen pgrst")
        api.sql("create temporary table t (id int); drop table t")
        api.sql("create index on public.first (name)")
        api.sql("create table public.last (id int); drop table public.last")
        api.sql("notify pgrst, 'end'")
        told = [notice.payload for notice in listener.notifies(timeout=5, stop_after=2)]
    assert told == ["reload schema", "end"]


async def test_many_misses_at_once_read_the_schema_only_twice(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    connect = SchemaCache._connect

    async def counted(self: SchemaCache) -> object:
        nonlocal reads
        reads += 1
        return await connect(self)

    monkeypatch.setattr(SchemaCache, "_connect", counted)
    await asyncio.gather(*(api.get(f"/missing_{number}") for number in range(20)))
    assert reads <= 2


async def test_a_lost_listener_listens_again(api: Api) -> None:
    with api.cluster.connect(api.database) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where query like 'listen%' and datname = current_database()"
        )

    async def heard() -> bool:
        api.sql("create or replace view public.seen as select 1 as one; grant select on public.seen to anon")
        return ("public", "seen") in api.rest._cache.current.relations

    await until(heard)


async def test_a_served_schema_may_be_closed_to_the_gateways_own_role(cluster: Cluster) -> None:
    schema = """
    create schema closed; create table closed.items (id int generated by default as identity primary key, name text);
    grant usage on schema closed to anon; grant select, insert on closed.items to anon;
    grant usage on sequence closed.items_id_seq to anon;
    """
    async with serve_schema(cluster, schema, schemas=("public", "closed")) as api:
        wanted = {"Content-Profile": "closed", "Prefer": "return=representation, missing=default"}
        response = await api.post("/items?columns=id,name", [{"name": "first"}], wanted)
        assert (response.status_code, response.json()) == (201, [{"id": 1, "name": "first"}])
