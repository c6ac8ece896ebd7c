"""POST with `resolution=`: merging with rows that are there already, or ignoring them."""

from typing import Any

import pytest

from tests.wire.test_rest_server import Api, error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.pairs (a int, b int, text text default 'new', email text unique, primary key (a, b));
create table public.keyless (a int unique, text text);
create view public.pairs_view as select * from public.pairs;
create table public.days (id int, day date, text text, primary key (id, day)) partition by range (day);
create table public.days_all partition of public.days for values from (minvalue) to (maxvalue);
grant select, insert, update on public.pairs, public.keyless, public.pairs_view, public.days to anon;
"""
ROWS = """
truncate public.pairs, public.keyless, public.days;
insert into public.pairs values (1, 1, 'old', 'one@x');
"""
MERGE = {"Prefer": "resolution=merge-duplicates, return=representation"}
IGNORE = {"Prefer": "resolution=ignore-duplicates, return=representation"}


def row(b: int, text: str = "x") -> dict[str, Any]:
    return {"a": 1, "b": b, "text": text}


@pytest.mark.parametrize(
    ("rows", "status"),
    [([row(1)], 200), ([row(1), row(2)], 201), ([row(2)], 201), ([], 200)],
)
async def test_merging_is_201_only_if_a_row_was_inserted(api: Api, rows: list[dict[str, Any]], status: int) -> None:
    response = await api.post("/pairs?select=a,b,text", rows, MERGE)
    assert (response.status_code, response.json()) == (status, rows)
    assert response.headers["preference-applied"] == "resolution=merge-duplicates, return=representation"
    silent = await api.post("/pairs", rows, {"Prefer": "resolution=merge-duplicates"})
    assert (silent.status_code, silent.content) == (200, b"")


async def test_merging_keeps_the_columns_that_were_not_sent(api: Api) -> None:
    await api.post("/pairs", row(1), MERGE)
    assert api.sql("select text, email from public.pairs") == [("x", "one@x")]


@pytest.mark.parametrize(("rows", "returned"), [([row(1)], []), ([row(1), row(2)], [row(2)])])
async def test_ignoring_is_always_201(api: Api, rows: list[Any], returned: list[Any]) -> None:
    response = await api.post("/pairs?select=a,b,text", rows, IGNORE)
    assert (response.status_code, response.json()) == (201, returned)
    assert api.sql("select text from public.pairs where b = 1") == [("old",)]


async def test_the_conflict_may_be_about_other_columns_than_the_primary_key(api: Api) -> None:
    body = {"a": 5, "b": 5, "email": "one@x"}
    assert error_of(await api.post("/pairs", body, MERGE)) == (409, "23505")
    response = await api.post("/pairs?on_conflict=email", body, MERGE)
    assert (response.status_code, response.json()[0]["a"]) == (200, 5)


async def test_a_conflict_target_without_a_unique_key_is_400(api: Api) -> None:
    assert error_of(await api.post("/pairs?on_conflict=text", row(3), MERGE)) == (400, "42P10")
    assert error_of(await api.post("/pairs?on_conflict=nothing", row(3), MERGE)) == (400, "42703")


async def test_without_any_key_the_row_is_just_inserted(api: Api) -> None:
    first = await api.post("/keyless", {"a": 1}, MERGE)
    assert (first.status_code, first.headers["preference-applied"]) == (201, "return=representation")
    assert error_of(await api.post("/keyless", {"a": 1}, MERGE)) == (409, "23505")
    assert (await api.post("/keyless?on_conflict=a", {"a": 1, "text": "x"}, MERGE)).status_code == 200


async def test_missing_columns_take_their_defaults(api: Api) -> None:
    headers = {"Prefer": "resolution=merge-duplicates, missing=default, return=representation"}
    response = await api.post('/pairs?columns="a","b","text"&select=b,text', [{"a": 1, "b": 1}, row(2)], headers)
    assert response.json() == [{"b": 1, "text": "new"}, {"b": 2, "text": "x"}]


async def test_the_same_row_twice_in_one_body_is_an_error(api: Api) -> None:
    assert error_of(await api.post("/pairs", [row(2), row(2)], MERGE)) == (500, "21000")


async def test_views_and_partitioned_tables_merge_as_well(api: Api) -> None:
    by_view = await api.post("/pairs_view?on_conflict=a,b", row(1, "view"), MERGE)
    assert (by_view.status_code, by_view.json()[0]["text"]) == (200, "view")
    day = {"id": 1, "day": "2026-01-01", "text": "x"}
    assert [(await api.post("/days", day, MERGE)).status_code for _ in range(2)] == [201, 200]
