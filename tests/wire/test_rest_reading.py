"""GET and HEAD of tables: select lists, filters, order, ranges, counts, forms of the answer."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.test_rest_server import Api, error_of, serve_schema

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create type public.mood as enum ('low', 'high');
create table public.items (
  id int primary key, name text, price numeric(10, 2), tags text[], data jsonb, raw json,
  mood public.mood, active boolean, span int4range, words tsvector, "odd name-x" text
);
insert into public.items values
  (1, 'apple', 1.10, '{a,b}', '{"k": {"x": 1}, "l": [10, 20], "n": null}', '{"big": 12345678901234567890}',
   'low', true, '[1,5)', to_tsvector('english', 'fat cats run'), 'odd'),
  (2, 'banana, "ripe"', 2.00, '{}', '{"k": "text", "a b": 2}', null, 'high', false, '[5,9)', null, null),
  (3, 'Cherry (sour)', null, '{b,"c,d"}', null, null, null, null, '[20,30)', to_tsvector('english', 'the rat'), null),
  (4, 'a*b%c_d', 4.00, null, '{"k": 5}', null, 'low', true, null, null, null);
create function public.label(public.items) returns text language sql stable as $$select '#' || $1.id$$;
create table public.many (id int primary key);
insert into public.many select generate_series(1, 60);
create table public.letters (t int, c int, d int, p int, e int);
insert into public.letters values (1, 2, 3, 4, 5);
create view public.names as select id, name from public.items;
create table public.secret (id int, owner text);
insert into public.secret values (1, 'anon'), (2, 'someone');
alter table public.secret enable row level security;
create policy own on public.secret for select to anon using (owner = current_user);
create table public.closed (id int);
grant select on public.letters, public.items, public.many, public.names, public.secret to anon;
grant execute on function public.label to anon;
analyze public.many;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serve_schema(cluster, SCHEMA, max_rows=50) as api:
        yield api


async def ids(api: Api, query: str) -> list[int]:
    response = await api.get(f"/items?select=id&order=id&{query}")
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()]


@pytest.mark.parametrize(
    ("select", "row"),
    [
        ("id,name", {"id": 1, "name": "apple"}),
        ("key:id, label:name", {"key": 1, "label": "apple"}),
        ("id::text", {"id": "1"}),
        ("n:price::int", {"n": 1}),
        ("price::double precision", {"price": 1.1}),
        ("data->k", {"k": {"x": 1}}),
        ("data->k->>x", {"x": "1"}),
        ("data->l->1", {"l": 20}),
        ("data->l->-1", {"l": 20}),
        ("data->l->>9", {"l": None}),
        ("first:data->l->0", {"first": 10}),
        ('data->>"a b"', {"a b": None}),
        ("tags->0", {"tags": "a"}),
        ("data->k->x::text", {"x": "1"}),
        ('"odd name-x"', {"odd name-x": "odd"}),
        ("odd name-x", {"odd name-x": "odd"}),
        ('"a \\"quoted\\" alias":id', {'a "quoted" alias': 1}),
        ("label", {"label": "#1"}),
        ("mood,active,span", {"mood": "low", "active": True, "span": "[1,5)"}),
        ("id,id", {"id": 1}),
    ],
)
async def test_a_select_list_shapes_the_row(api: Api, select: str, row: dict[str, Any]) -> None:
    response = await api.get(f"/items?id=eq.1&select={quote(select)}")
    assert response.json() == [row]


@pytest.mark.parametrize("query", ["", "select=", "select=*"])
async def test_all_columns_are_the_default(api: Api, query: str) -> None:
    rows = (await api.get(f"/names?id=eq.1&{query}")).json()
    assert rows == [{"id": 1, "name": "apple"}]


async def test_columns_may_have_any_name(api: Api) -> None:
    assert (await api.get("/letters?t=eq.1&order=c")).json() == [{"t": 1, "c": 2, "d": 3, "p": 4, "e": 5}]
    assert (await api.get("/letters?select=p,t", {"Prefer": "count=exact"})).json() == [{"p": 4, "t": 1}]


async def test_numbers_arrive_with_every_digit(api: Api) -> None:
    text = (await api.get("/items?id=eq.1&select=price,raw")).text
    assert text == '[{"price":1.10,"raw":{"big": 12345678901234567890}}]'


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("id=eq.2", [2]),
        ("id=neq.2", [1, 3, 4]),
        ("id=gt.2", [3, 4]),
        ("id=gte.2", [2, 3, 4]),
        ("id=lt.2", [1]),
        ("id=lte.2", [1, 2]),
        ("id=gt.1&id=lt.4", [2, 3]),
        ("name=like.a*", [1, 4]),
        ("name=like.*%25*", [1, 2, 3, 4]),
        ("name=ilike.CHERRY*", [3]),
        ("name=match.^a", [1, 4]),
        ("name=imatch.^C", [3]),
        ("name=not.like.a*", [2, 3]),
        ("price=is.null", [3]),
        ("price=is.not_null", [1, 2, 4]),
        ("price=not.is.NULL", [1, 2, 4]),
        ("active=is.true", [1, 4]),
        ("active=is.False", [2]),
        ("active=is.unknown", [3]),
        ("price=isdistinct.2", [1, 3, 4]),
        ("price=not.isdistinct.2", [2]),
        ("id=in.(1,3)", [1, 3]),
        ("id=not.in.(1,3)", [2, 4]),
        ("id=in.()", []),
        ('name=in.("banana, \\"ripe\\"",apple)', [1, 2]),
        ('name=in.(apple,"Cherry (sour)")', [1, 3]),
        ("tags=cs.{b}", [1, 3]),
        ('tags=cs.{"c,d"}', [3]),
        ("tags=cd.{a,b,z}", [1, 2]),
        ("tags=ov.{a,z}", [1]),
        ('data=cs.{"k":5}', [4]),
        ("span=cs.[6,7)", [2]),
        ("span=ov.[4,6]", [1, 2]),
        ("span=sl.[10,12)", [1, 2]),
        ("span=sr.[10,12)", [3]),
        ("span=nxr.[0,9)", [1, 2]),
        ("span=nxl.[5,9)", [2, 3]),
        ("span=adj.[9,20)", [2, 3]),
        ("words=fts.cat", [1]),
        ("words=fts(english).cats%26fat", [1]),
        ("words=plfts(english).fat cats", [1]),
        ("words=phfts(english).fat cats", [1]),
        ("words=wfts(english).rat or cat", [1, 3]),
        ("words=not.fts.rat", [1]),
        ("name=fts(english).apples", [1]),
        ("id=eq(any).{1,4}", [1, 4]),
        ("name=like(all).{a*,*c_d}", [4]),
        ("name=not.ilike(any).{A*,B*}", [3]),
        ("data->k=eq.5", [4]),
        ("data->k->>x=eq.1", [1]),
        ("data->>k=eq.text", [2]),
        ('data->>"a b"=eq.2', [2]),
        ("data->l->0=eq.10", [1]),
        ("mood=eq.high", [2]),
        ('"odd name-x"=eq.odd', [1]),
        ("or=(id.eq.1,id.eq.3)", [1, 3]),
        ("and=(id.gt.1,id.lt.4)", [2, 3]),
        ("not.or=(id.eq.1,id.eq.3)", [2, 4]),
        ("or=(id.eq.1,and(id.gt.2,not.and(id.gt.3,active.is.true)))", [1, 3]),
        ('or=(name.eq."banana, \\"ripe\\"",name.like.app*)', [1, 2]),
        ("or=(id.in.(1,2),tags.cs.{b})", [1, 2, 3]),
        ("or=(data->>k.eq.5, id.not.in.(2,3,4) )", [1, 4]),
        ("or=(id.eq(any).{2,3},words.fts(english).cat)", [1, 2, 3]),
        ("label=eq.%234", [4]),
        ("name=eq.a*b%25c_d", [4]),
        ("name=eq.apple+", []),
    ],
)
async def test_a_filter_finds_its_rows(api: Api, query: str, found: list[int]) -> None:
    assert await ids(api, query) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("id.desc", [4, 3, 2, 1]),
        ("price", [1, 2, 4, 3]),
        ("price.desc", [3, 4, 2, 1]),
        ("price.desc.nullslast", [4, 2, 1, 3]),
        ("price.nullsfirst", [3, 1, 2, 4]),
        ("price.asc.nullsfirst", [3, 1, 2, 4]),
        ("mood.desc.nullslast,id.desc", [2, 4, 1, 3]),
        ("data->>k.desc.nullslast,id", [1, 2, 4, 3]),
    ],
)
async def test_rows_come_in_the_order_asked_for(api: Api, order: str, found: list[int]) -> None:
    rows = (await api.get(f"/items?select=id&order={order}")).json()
    assert [row["id"] for row in rows] == found


@pytest.mark.parametrize(
    ("query", "headers", "status", "content_range", "rows"),
    [
        ("limit=2", {}, 200, "0-1/*", 2),
        ("limit=2&offset=3", {}, 200, "3-4/*", 2),
        ("offset=58", {}, 200, "58-59/*", 2),
        ("", {}, 200, "0-49/*", 50),
        ("limit=1000", {}, 200, "0-49/*", 50),
        ("limit=0", {}, 200, "*/*", 0),
        ("id=gt.100", {}, 200, "*/*", 0),
        ("", {"Range": "10-14"}, 200, "10-14/*", 5),
        ("", {"Range": "58-"}, 200, "58-59/*", 2),
        ("limit=3&offset=1", {"Range": "2-9"}, 200, "2-3/*", 2),
        ("", {"Range": "bytes=0-1"}, 200, "0-49/*", 50),
        ("limit=2", {"Prefer": "count=exact"}, 206, "0-1/60", 2),
        ("id=lt.11", {"Prefer": "count=exact"}, 200, "0-9/10", 10),
        ("id=gt.100", {"Prefer": "count=exact"}, 200, "*/0", 0),
        ("limit=0", {"Prefer": "count=exact"}, 206, "*/60", 0),
        ("offset=60", {"Prefer": "count=exact"}, 206, "*/60", 0),
        ("id=lt.4", {"Prefer": "count=estimated"}, 200, "0-2/3", 3),
        ("", {"Prefer": "count=planned"}, 206, "0-49/60", 50),
        ("", {"Prefer": "count=estimated"}, 206, "0-49/60", 50),
        ("limit=nonsense", {}, 200, "0-49/*", 50),
    ],
)
async def test_ranges_and_counts(
    api: Api, query: str, headers: dict[str, str], status: int, content_range: str, rows: int
) -> None:
    response = await api.get(f"/many?{query}", headers)
    assert (response.status_code, response.headers["content-range"]) == (status, content_range)
    assert len(response.json()) == rows


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("offset=61", {"Prefer": "count=exact"}),
        ("limit=-1", {}),
        ("", {"Range": "9-3"}),
        ("limit=3", {"Range": "5-9"}),
    ],
)
async def test_a_range_that_holds_nothing_is_416(api: Api, query: str, headers: dict[str, str]) -> None:
    assert error_of(await api.get(f"/many?{query}", headers)) == (416, "PGRST103")


async def test_an_offset_beyond_the_end_says_how_many_rows_there_are(api: Api) -> None:
    response = await api.get("/many?offset=61", {"Prefer": "count=exact"})
    assert response.headers["content-range"] == "*/60"
    assert response.json()["details"] == "An offset of 61 was requested, but there are only 60 rows."


async def test_head_ignores_the_range_header(api: Api) -> None:
    response = await api.head("/many", {"Range": "0-4", "Prefer": "count=exact"})
    assert (response.status_code, response.headers["content-range"]) == (206, "0-49/60")


@pytest.mark.parametrize(
    ("accept", "content_type", "text"),
    [
        ("*/*", "application/json; charset=utf-8", '[{"id":3,"price":null}]'),
        ("text/html, application/json;q=0.5", "application/json; charset=utf-8", '[{"id":3,"price":null}]'),
        (
            "application/vnd.pgrst.object+json",
            "application/vnd.pgrst.object+json; charset=utf-8",
            '{"id":3,"price":null}',
        ),
        ("application/vnd.pgrst.object", "application/vnd.pgrst.object+json; charset=utf-8", '{"id":3,"price":null}'),
        (
            "application/vnd.pgrst.object+json;nulls=stripped",
            "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
            '{"id":3}',
        ),
        (
            "application/vnd.pgrst.array+json;nulls=stripped",
            "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
            '[{"id":3}]',
        ),
    ],
)
async def test_the_answer_has_the_form_that_was_accepted(api: Api, accept: str, content_type: str, text: str) -> None:
    response = await api.get("/items?id=eq.3&select=id,price", {"Accept": accept})
    assert (response.headers["content-type"], response.text) == (content_type, text)


@pytest.mark.parametrize(("query", "count"), [("id=lt.3", 2), ("id=gt.9", 0)])
async def test_one_object_cannot_be_made_of_another_number_of_rows(api: Api, query: str, count: int) -> None:
    response = await api.get(f"/items?{query}", {"Accept": "application/vnd.pgrst.object+json"})
    assert error_of(response) == (406, "PGRST116")
    assert response.json()["details"] == f"The result contains {count} rows"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/items?select=nothing", 400, "42703"),
        ("/items?nothing=eq.1", 400, "42703"),
        ("/items?order=nothing", 400, "42703"),
        ("/items?id=eq.x", 400, "22P02"),
        ("/items?id=like.1", 404, "42883"),
        ("/items?select=id::nothing", 400, "42704"),
        ("/items?select=name::int", 400, "22P02"),
        ("/items?order=id&offset=99999999999999999999", 400, "22003"),
        ("/closed", 401, "42501"),
        ("/items?select=count()", 400, "PGRST123"),
        ("/items?select=price.sum()", 400, "PGRST123"),
        ("/items?select=*,many(*)", 400, "PGRST200"),
        ("/items?select=*,...many(*)", 400, "PGRST200"),
        ("/items?many.id=eq.1", 400, "PGRST108"),
        ("/items?many.order=id", 400, "PGRST108"),
        ("/items?many.or=(id.eq.1)", 400, "PGRST108"),
        ("/items?order=many(id)", 400, "PGRST108"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_its_code(api: Api, path: str, status: int, code: str) -> None:
    assert error_of(await api.get(path)) == (status, code)


async def test_a_form_outside_the_subset_is_named(api: Api) -> None:
    response = await api.get("/items", {"Accept": "application/geo+json"})
    assert error_of(response) == (501, "PGRST127")
    assert response.json()["details"] == "devstack does not serve GeoJSON output"


@pytest.mark.parametrize("accept", ["application/vnd.pgrst.plan+json", "application/openapi+json", "text/plain"])
async def test_a_form_that_a_table_does_not_have_is_refused(api: Api, accept: str) -> None:
    response = await api.get("/items", {"Accept": accept})
    assert error_of(response) == (406, "PGRST107")
    assert response.json()["message"] == f"None of these media types are available: {accept}"


async def test_row_level_security_hides_rows(api: Api) -> None:
    assert (await api.get("/secret")).json() == [{"id": 1, "owner": "anon"}]


async def test_an_answer_says_where_it_came_from_and_what_was_applied(api: Api) -> None:
    headers = {"Prefer": "count=exact, return=minimal, handling=lenient"}
    response = await api.get("/items?select=id&id=eq.1", headers)
    assert response.headers["content-location"] == "/items?id=eq.1&select=id"
    assert response.headers["preference-applied"] == "count=exact, handling=lenient"
