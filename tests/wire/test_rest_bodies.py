"""Other bodies than JSON, other answers than JSON, and PUT."""

import orjson
import pytest

from tests.wire.test_rest_server import Api, error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.items (id int primary key, name text, price numeric(5, 2), tags text[]);
create table public.grid (x int, y int, label text, primary key (x, y));
create table public.keyless (id int);
create function public.shout(text) returns text language sql immutable as 'select upper($1)';
create function public.size_of(bytea) returns int language sql immutable as 'select length($1)';
create function public.tag_of(xml) returns text language sql immutable as 'select (xpath(''name(/*)'', $1))[1]::text';
create function public.whole(jsonb) returns jsonb language sql immutable as 'select $1';
create function public.whole(text) returns text language sql immutable as 'select $1';
create function public.whole() returns text language sql immutable as $$select 'nothing'$$;
create function public.joined(glue text default '-', variadic words text[] default '{}') returns text
  language sql immutable as 'select array_to_string(words, glue)';
create function public.add(a int, b int) returns int language sql immutable as 'select a + b';
create function public.cells() returns setof public.grid language sql stable as 'select * from public.grid';
grant all on all tables in schema public to anon;
grant execute on all functions in schema public to anon;
"""

ROWS = """
truncate public.items, public.grid, public.keyless;
insert into public.items values (1, 'one', 1.10, '{a}'), (2, 'two, "2"', null, null);
insert into public.grid values (1, 2, 'old');
"""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CSV = {"Content-Type": "text/csv"}
FULL = {"Prefer": "return=representation"}


async def test_a_form_is_one_row(api: Api) -> None:
    response = await api.http.post("/items?select=id,name", content=b"id=3&name=a+b%21", headers={**FORM, **FULL})
    assert (response.status_code, response.json()) == (201, [{"id": 3, "name": "a b!"}])


@pytest.mark.parametrize(
    ("path", "content", "found"),
    [
        ("/rpc/add", b"a=1&b=2", 3),
        ("/rpc/joined", b"words=x&words=y&glue=%2B", "x+y"),
        ("/rpc/joined", b"", ""),
    ],
)
async def test_a_form_holds_the_arguments_of_a_call(api: Api, path: str, content: bytes, found: object) -> None:
    assert (await api.http.post(path, content=content, headers=FORM)).json() == found


async def test_csv_is_many_rows_and_null_stands_for_null(api: Api) -> None:
    content = b'id,name,price\n3,"a, b",NULL\n4,,2.5\n'
    response = await api.http.post("/items?select=id,name,price", content=content, headers={**CSV, **FULL})
    assert response.json() == [{"id": 3, "name": "a, b", "price": None}, {"id": 4, "name": "", "price": 2.5}]


async def test_the_first_line_of_csv_holds_the_arguments_of_a_call(api: Api) -> None:
    assert (await api.http.post("/rpc/add", content=b"a,b\n1,2\n3,4", headers=CSV)).json() == 3
    refused = await api.http.post("/rpc/whole", content=b"a,b\n1,2", headers=CSV)
    assert error_of(refused) == (404, "PGRST202")
    assert "unnamed" not in refused.json()["details"]


@pytest.mark.parametrize("content", [b"id,name\n3", b"id\n3,x", b'id,name\n3,"x', b"id\n\xff"])
async def test_csv_that_makes_no_sense_is_refused(api: Api, content: bytes) -> None:
    assert error_of(await api.http.post("/items", content=content, headers=CSV)) == (400, "PGRST102")


async def test_an_answer_as_csv(api: Api) -> None:
    wanted = {"Accept": "text/csv"}
    response = await api.get("/items?select=id,name,price&order=id", wanted)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.text == 'id,name,price\n1,one,1.10\n2,"two, ""2""",'
    assert (await api.get("/rpc/cells?select=x,label", wanted)).text == "x,label\n1,old"
    added = await api.post("/grid", {"x": 5, "y": 6}, {**wanted, **FULL})
    assert added.text == "x,y,label\n5,6,"
    assert (await api.get("/keyless", wanted)).text == "\n"


@pytest.mark.parametrize(
    ("path", "kind", "content", "found"),
    [
        ("/rpc/shout", "text/plain", b"hey", "HEY"),
        ("/rpc/size_of", "application/octet-stream", b"\x00\xff\\x", 4),
        ("/rpc/tag_of", "text/xml", b"<a><b/></a>", "a"),
        ("/rpc/whole", "text/plain; charset=utf-8", b"{}", "{}"),
        ("/rpc/whole", "application/json", b'[{"x": 1}]', [{"x": 1}]),
        ("/rpc/whole", "application/json", b"", "nothing"),
    ],
)
async def test_a_function_takes_a_body_as_a_whole(
    api: Api, path: str, kind: str, content: bytes, found: object
) -> None:
    response = await api.http.post(path, content=content, headers={"Content-Type": kind})
    assert response.json() == found


async def test_a_body_that_no_function_takes_as_a_whole_is_told_by_its_kind(api: Api) -> None:
    response = await api.http.post("/rpc/add", content=b"x", headers={"Content-Type": "text/plain"})
    assert error_of(response) == (404, "PGRST202")
    assert response.json()["details"] == (
        "Searched for the function public.add with a single unnamed text parameter,"
        " but no matches were found in the schema cache."
    )


async def test_put_inserts_what_is_not_there_and_changes_what_is(api: Api) -> None:
    new = await api.http.put("/grid?x=eq.3&y=eq.4", json={"x": 3, "y": 4, "label": "new"}, headers=FULL)
    assert (new.status_code, new.json()) == (201, [{"x": 3, "y": 4, "label": "new"}])
    assert new.headers["preference-applied"] == "return=representation"
    changed = await api.http.put("/grid?x=eq.1&y=eq.2", json=[{"x": 1, "y": 2, "label": "changed"}], headers=FULL)
    assert (changed.status_code, changed.json()) == (200, [{"x": 1, "y": 2, "label": "changed"}])
    silent = await api.http.put("/grid?x=eq.1&y=eq.2", json={"x": 1, "y": 2})
    assert (silent.status_code, silent.content) == (204, b"")


async def test_put_takes_of_several_rows_the_one_that_is_named(api: Api) -> None:
    body = [{"id": 1, "name": "uno"}, {"id": 2, "name": "dos"}]
    headers = {"Accept": "application/vnd.pgrst.object+json", **FULL}
    response = await api.http.put("/items?id=eq.2&select=id,name", json=body, headers=headers)
    assert response.json() == {"id": 2, "name": "dos"}
    assert api.sql("select name from public.items where id = 1") == [("one",)]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/grid?x=eq.1", 405, "PGRST105"),
        ("/grid?x=eq.1&y=eq.2&label=eq.old", 405, "PGRST105"),
        ("/grid?x=eq.1&y=gt.2", 405, "PGRST105"),
        ("/grid?x=eq.1&y=not.eq.2", 405, "PGRST105"),
        ("/grid?x=eq.1&y=eq(any).{2}", 405, "PGRST105"),
        ("/grid?and=(x.eq.1,y.eq.2)", 405, "PGRST105"),
        ("/grid", 405, "PGRST105"),
        ("/keyless?id=eq.1", 405, "PGRST105"),
        ("/grid?x=eq.1&y=eq.2&limit=1", 400, "PGRST114"),
        ("/grid?x=eq.1&y=eq.2&offset=1", 400, "PGRST114"),
        ("/grid?x=eq.1&y=eq.3", 400, "PGRST115"),
        ("/grid?x=eq.1&y=eq.x", 400, "22P02"),
    ],
)
async def test_put_of_anything_else_than_one_row_by_its_key_is_refused(
    api: Api, path: str, status: int, code: str
) -> None:
    body = {"x": 1, "y": 2, "label": "x"}
    assert error_of(await api.http.put(path, json=body)) == (status, code)
    assert api.sql("select label from public.grid") == [("old",)]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"id":' * 50_000,
        orjson.dumps({f"k{number}": 1 for number in range(200_000)}),
        b'{"id": NaN}',
        b'{"id": 1' + b"0" * 400 + b"}",
        b'{"id": 99999999999999999999}',
        b'{"id": 9, "name": "\xff"}',
        b'{"id": 9, "name": "\\ud800"}',
        b'{"id": 9, "name": "\\u0000"}',
        b'{"id": 9, "name": "\0"}',
        b'{"id": 9, "id": "x"}',
        b"\x1f\x8b\x08\x00",
        b'{"id": 9} {"id": 10}',
    ],
    ids=lambda content: repr(content[:20]),
)
async def test_a_hostile_body_is_the_clients_fault_and_stores_nothing(api: Api, content: bytes) -> None:
    for path in ("/items", "/rpc/add"):
        response = await api.http.post(path, content=content, headers={"Content-Type": "application/json"})
        assert 400 <= response.status_code < 500, response.text[:200]
        assert len(response.content) < 100_000
    assert api.sql("select count(*) from public.items") == [(2,)]
