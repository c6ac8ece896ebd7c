"""Calls of functions: how they are found, what they are given, what comes back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.test_rest_server import Api, error_of, serve_schema

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.items (id int primary key, name text, data jsonb);
insert into public.items values (1, 'one', '{"k": 1}'), (2, 'two', null), (3, null, null);
create type public.point as (x int, y int);
create domain public.place as public.point;
grant select, insert on public.items to anon;

create function public.add(a int, b int default 10) returns int language sql immutable as 'select a + b';
create function public.nothing() returns void language sql as 'insert into public.items values (99)';
create function public.nullity() returns int language sql as 'select null::int';
create function public.greet(name text) returns text language sql stable as $$select 'hello ' || name$$;
create function public.numbers() returns setof int language sql stable as 'values (1), (null), (3)';
create function public.one_item(p_id int) returns public.items language sql stable
  as 'select * from public.items where id = p_id';
create function public.all_items() returns setof public.items language sql stable as 'select * from public.items';
create function public.listed() returns table (n int, text text) language sql as $$values (1, 'a'), (2, 'b')$$;
create function public.point() returns public.point language sql as 'select row(1, 2)::public.point';
create function public.no_point() returns public.point language sql as 'select null::public.point';
create function public.place() returns public.place language sql as 'select row(3, 4)::public.point::public.place';
create function public.one_out(out n int) language sql as 'select 5';
create function public.both(inout a int, out b text) language sql as $$select a + 1, 'b'$$;
create function public.record() returns record language sql as $$select id, name from public.items where id = 1$$;
create function public.records() returns setof record language sql
  as $$select id, name from public.items where id < 3$$;
create function public.whole(json) returns json language sql as 'select $1';
create function public.wholeb(jsonb) returns text language sql as 'select jsonb_typeof($1)';
create function public.same(v int) returns text language sql as $$select 'int'$$;
create function public.same(v text) returns text language sql as $$select 'text'$$;
create function public.over(a int) returns text language sql as $$select 'one'$$;
create function public.over(a int, b int) returns text language sql as $$select 'two'$$;
create function public.over(jsonb) returns text language sql as $$select 'body'$$;
create function public.words(variadic v text[] default '{}') returns text[] language sql stable as 'select v';
create function public.typed(i int, n numeric, t text, l text[], j jsonb, b boolean, d date, c char) returns jsonb
  language sql
  as $$select jsonb_build_object('i', i, 'n', n, 't', t, 'l', l, 'j', j, 'b', b, 'd', d, 'c', c)$$;
create function public."Odd name"("First" int, "a b" text) returns text language sql as 'select "First" || "a b"';
create function public.writes() returns int language sql as 'insert into public.items values (99) returning id';
create function public.writes_stable() returns int language plpgsql stable
  as 'begin return public.writes(); end';
create function public.many(n int) returns setof int language sql stable as 'select generate_series(1, n)';
create function public.a_trigger() returns trigger language plpgsql as 'begin return new; end';
create function public.unnamed(int, int) returns int language sql as 'select 1';
create function public.letters(text) returns int language sql as 'select length($1)';
create function public.maybe() returns text language sql as $$select 'none'$$;
create function public.maybe(text default 'own') returns text language sql as 'select $1';
create procedure public.a_procedure() language sql as '';
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serve_schema(cluster, SCHEMA, max_rows=20) as api:
        yield api


@pytest.mark.parametrize(
    ("name", "body", "answer"),
    [
        ("add", {"a": 1}, 11),
        ("add", {"a": 1, "b": 2}, 3),
        ("nullity", {}, None),
        ("greet", {"name": "Ana"}, "hello Ana"),
        ("greet", {"name": None}, None),
        ("letters", {"": "x"}, len('{"":"x"}')),
        ("maybe", {"": 1}, '{"":1}'),
        ("numbers", {}, [1, None, 3]),
        ("one_item", {"p_id": 1}, {"id": 1, "name": "one", "data": {"k": 1}}),
        ("one_item", {"p_id": 9}, None),
        ("listed", {}, [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}]),
        ("point", {}, {"x": 1, "y": 2}),
        ("no_point", {}, None),
        ("place", {}, {"x": 3, "y": 4}),
        ("one_out", {}, {"n": 5}),
        ("both", {"a": 1}, {"a": 2, "b": "b"}),
        ("record", {}, {"id": 1, "name": "one"}),
        ("records", {}, [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]),
        ("whole", {"any": [1, {"b": None}]}, {"any": [1, {"b": None}]}),
        ("whole", [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ("wholeb", {}, "object"),
        ("over", {"a": 1}, "one"),
        ("over", {"a": 1, "b": 1}, "two"),
        ("over", {"c": 1}, "body"),
        ("words", {"v": ["a", "b,c"]}, ["a", "b,c"]),
        ("words", {}, []),
        ("add", [{"a": 1, "b": 2}, {"a": 100, "b": 200}], 3),
        ("Odd%20name", {"First": 1, "a b": "x"}, "1x"),
        (
            "typed",
            {"i": 1, "n": "1.50", "t": "x", "l": ["a"], "j": {"k": [1]}, "b": True, "d": "2026-01-02", "c": "long"},
            {"i": 1, "n": 1.50, "t": "x", "l": ["a"], "j": {"k": [1]}, "b": True, "d": "2026-01-02", "c": "long"},
        ),
    ],
)
async def test_a_call_with_a_json_body(api: Api, name: str, body: Any, answer: Any) -> None:
    for _ in range(2):  # the second time from the remembered plan
        response = await api.post(f"/rpc/{name}", body)
        assert (response.status_code, response.json()) == (200, answer)
        assert response.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("add?a=1", 11),
        ("add?a=1&b=2", 3),
        ("greet?name=A+na%21", "hello A na!"),
        ("greet?name=eq", "hello eq"),
        ("greet?name=a.b", "hello a.b"),
        ("greet?name=ignored&name=last", "hello last"),
        ("words?v=a&v=b", ["a", "b"]),
        ("words", []),
        ("numbers", [1, None, 3]),
        ("one_item?p_id=2&select=name", {"name": "two"}),
        ("all_items?id=gt.1&select=id&order=id.desc", [{"id": 3}, {"id": 2}]),
        ("all_items?or=(id.eq.1,name.is.null)&select=id", [{"id": 1}, {"id": 3}]),
        ("all_items?data->>k=eq.1&select=id,data->k", [{"id": 1, "k": 1}]),
        ("all_items?id=not.in.(1,2)&select=n:name,id::text", [{"n": None, "id": "3"}]),
        ("numbers?limit=1", [1]),
        ("listed?n=eq.2&select=text", [{"text": "b"}]),
        ("listed?limit=1&offset=1", [{"n": 2, "text": "b"}]),
        ("both?a=1&select=b", {"b": "b"}),
        (
            'typed?i=1&n=1.5&t=x&l={a,"b,c"}&j={"k":1}&b=true&d=2026-01-02&c=x',
            {"i": 1, "n": 1.5, "t": "x", "l": ["a", "b,c"], "j": {"k": 1}, "b": True, "d": "2026-01-02", "c": "x"},
        ),
    ],
)
async def test_a_call_with_arguments_in_the_query(api: Api, path: str, answer: Any) -> None:
    response = await api.get(f"/rpc/{path}")
    assert (response.status_code, response.json()) == (200, answer)
    assert (await api.head(f"/rpc/{path}")).status_code == 200


@pytest.mark.parametrize("path", ["/rpc/all_items?select=id&id=lt.3", "/rpc/all_items?select=id&limit=2"])
async def test_a_query_shapes_the_result_of_a_post_too(api: Api, path: str) -> None:
    assert (await api.post(path)).json() == [{"id": 1}, {"id": 2}]


async def test_an_empty_body_is_no_arguments(api: Api) -> None:
    assert (await api.http.post("/rpc/numbers")).json() == [1, None, 3]


async def test_void_is_204_without_a_body(api: Api) -> None:
    response = await api.post("/rpc/nothing")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers
    assert api.sql("delete from public.items where id = 99 returning id") == [(99,)]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/rpc/nothing_like_it", {}, 404, "PGRST202"),
        ("/rpc/add", {}, 404, "PGRST202"),
        ("/rpc/add", {"a": 1, "c": 1}, 404, "PGRST202"),
        ("/rpc/numbers", {"a": 1}, 404, "PGRST202"),
        ("/rpc/same", {"v": 1}, 300, "PGRST203"),
        ("/rpc/a_trigger", {}, 404, "PGRST202"),
        ("/rpc/a_procedure", {}, 404, "PGRST202"),
        ("/rpc/unnamed", {"": 1}, 404, "PGRST202"),
        ("/rpc/letters", {"a": 1}, 404, "PGRST202"),
        ("/rpc/maybe", {}, 300, "PGRST203"),
        ("/rpc/add", {"a": "x"}, 400, "22P02"),
        ("/rpc/add", [1], 400, "PGRST102"),
        ("/rpc/greet?name=Ana", {"name": "Ana"}, 400, "PGRST100"),
        ("/rpc/all_items?select=nothing", {}, 400, "42703"),
        ("/rpc/numbers?id=eq.1", {}, 400, "42703"),
    ],
)
async def test_a_call_that_cannot_be_made_is_refused_by_its_code(
    api: Api, path: str, body: Any, status: int, code: str
) -> None:
    assert error_of(await api.post(path, body)) == (status, code)


async def test_an_unknown_function_tells_what_was_searched(api: Api) -> None:
    body = (await api.post("/rpc/greet", {"nam": "x"})).json()
    assert body["message"] == "Could not find the function public.greet(nam) in the schema cache"
    assert body["hint"] == "Perhaps you meant to call the function public.greet(name)"
    assert (await api.get("/rpc/gret")).json()["hint"] == "Perhaps you meant to call the function public.greet"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/rpc/writes"), ("HEAD", "/rpc/writes"), ("GET", "/rpc/nothing"), ("POST", "/rpc/writes_stable")],
)
async def test_reading_calls_cannot_write(api: Api, method: str, path: str) -> None:
    response = await api.http.request(method, path)
    assert response.status_code == 405
    assert api.sql("select id from public.items where id = 99") == []


async def test_a_column_list_limits_the_arguments(api: Api) -> None:
    assert (await api.post("/rpc/greet?columns=name", {"name": "Ana", "other": 1})).json() == "hello Ana"


@pytest.mark.parametrize(
    ("path", "headers", "status", "content_range"),
    [
        ("/rpc/add?a=1", {}, 200, "0-0/*"),
        ("/rpc/add?a=1", {"Prefer": "count=exact"}, 200, "0-0/1"),
        ("/rpc/many?n=10", {"Prefer": "count=exact"}, 200, "0-9/10"),
        ("/rpc/many?n=30", {}, 200, "0-19/*"),
        ("/rpc/many?n=30", {"Prefer": "count=exact"}, 206, "0-19/30"),
        ("/rpc/many?n=30", {"Range": "5-7"}, 200, "5-7/*"),
        ("/rpc/all_items?id=gt.1&limit=1&offset=1", {"Prefer": "count=exact"}, 206, "1-1/2"),
        ("/rpc/many?n=0", {}, 200, "*/*"),
    ],
)
async def test_results_are_counted_and_capped(
    api: Api, path: str, headers: dict[str, str], status: int, content_range: str
) -> None:
    response = await api.get(path, headers)
    assert (response.status_code, response.headers["content-range"]) == (status, content_range)


async def test_one_object_is_wanted_of_a_set(api: Api) -> None:
    singular = {"Accept": "application/vnd.pgrst.object+json"}
    assert (await api.get("/rpc/all_items?id=eq.2&select=id", singular)).json() == {"id": 2}
    assert error_of(await api.get("/rpc/all_items", singular)) == (406, "PGRST116")
    assert (await api.get("/rpc/point", singular)).json() == {"x": 1, "y": 2}


async def test_null_keys_can_be_left_out(api: Api) -> None:
    stripped = {"Accept": "application/vnd.pgrst.array+json;nulls=stripped"}
    assert (await api.get("/rpc/one_item?p_id=2", stripped)).json() == {"id": 2, "name": "two"}
    assert (await api.get("/rpc/all_items?id=eq.3", stripped)).json() == [{"id": 3}]


async def test_max_affected_needs_a_function_that_returns_a_set(api: Api) -> None:
    strict = {"Prefer": "handling=strict, max-affected=2"}
    assert error_of(await api.post("/rpc/add", {"a": 1}, strict)) == (400, "PGRST128")
    assert error_of(await api.post("/rpc/many", {"n": 3}, strict)) == (400, "PGRST124")
    assert (await api.post("/rpc/many", {"n": 2}, strict)).json() == [1, 2]


async def test_a_return_preference_means_nothing_for_a_call(api: Api) -> None:
    response = await api.post("/rpc/add", {"a": 1}, {"Prefer": "return=minimal"})
    assert (response.status_code, response.json()) == (200, 11)
    assert "preference-applied" not in response.headers
