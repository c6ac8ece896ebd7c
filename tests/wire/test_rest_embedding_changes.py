"""Relations inside what changes and calls give back."""

from typing import Any

import pytest

from tests.wire.test_rest_server import Api, error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.artists (id int primary key, name text);
create table public.albums (id int primary key, title text, artist_id int references public.artists, price int);
create view public.records as select id as record, title, artist_id from public.albums;
create function public.maker(public.albums) returns setof public.artists rows 1 language sql stable
  as 'select * from public.artists where id = $1.artist_id';
create function public.cheap(public.albums) returns boolean language sql stable as 'select $1.price < 5';
create function public.all_albums() returns setof public.albums language sql stable as 'select * from public.albums';
create function public.album(p_id int) returns public.albums language sql stable
  as 'select * from public.albums where id = p_id';
create function public.add_album(p_id int) returns setof public.albums language sql
  as 'insert into public.albums values (p_id, ''new'', 2, 3) returning *';
create function public.numbers() returns setof int language sql stable as 'values (1), (2)';
grant select, insert, update, delete on public.artists, public.albums, public.records to anon;
grant execute on all functions in schema public to anon;
"""

ROWS = """
truncate public.artists, public.albums;
insert into public.artists values (1, 'duster'), (2, 'low');
insert into public.albums values (1, 'stratosphere', 1, 4), (2, 'long division', 2, 6), (3, 'apex', 1, 9);
"""

FULL = {"Prefer": "return=representation"}


async def test_an_insert_gives_back_what_belongs_to_the_new_row(api: Api) -> None:
    body = {"id": 7, "title": "drugs", "artist_id": 2}
    response = await api.post("/albums?select=title,artists(name),maker(id)", body, FULL)
    assert response.status_code == 201
    assert response.json() == [{"title": "drugs", "artists": {"name": "low"}, "maker": {"id": 2}}]


async def test_an_update_gives_back_what_belonged_to_the_row_and_still_does(api: Api) -> None:
    response = await api.patch("/artists?id=eq.1&select=name,albums(title)&albums.order=title", {"name": "d"}, FULL)
    assert response.json() == [{"name": "d", "albums": [{"title": "apex"}, {"title": "stratosphere"}]}]


async def test_a_delete_gives_back_what_belonged_to_the_row(api: Api) -> None:
    response = await api.delete("/albums?id=eq.3&select=id,...artists(artist:name)", FULL)
    assert response.json() == [{"id": 3, "artist": "duster"}]
    assert api.sql("select count(*) from public.albums") == [(2,)]


async def test_an_upsert_sorts_and_filters_what_it_gives_back_not_what_it_does(api: Api) -> None:
    body = [{"id": 1, "name": "D"}, {"id": 2, "name": "L"}]
    path = "/artists?select=id,albums(id)&albums.price=gt.5&order=id.desc"
    response = await api.post(path, body, {"Prefer": "return=representation, resolution=merge-duplicates"})
    assert response.json() == [{"id": 2, "albums": [{"id": 2}]}, {"id": 1, "albums": [{"id": 3}]}]
    assert api.sql("select name from public.artists order by id") == [("D",), ("L",)]


async def test_inner_leaves_rows_out_of_the_answer_that_were_changed_all_the_same(api: Api) -> None:
    path = "/artists?id=gt.0&select=id,albums!inner(id)&albums.id=eq.2"
    response = await api.patch(path, {"name": "x"}, FULL)
    assert response.json() == [{"id": 2, "albums": [{"id": 2}]}]
    assert api.sql("select distinct name from public.artists") == [("x",)]


async def test_a_view_gives_back_what_belongs_to_the_row_of_its_table(api: Api) -> None:
    response = await api.patch("/records?record=eq.2&select=title,artists(id)", {"title": "t"}, FULL)
    assert response.json() == [{"title": "t", "artists": {"id": 2}}]


async def test_the_key_of_a_view_is_that_of_its_table(api: Api) -> None:
    headers = {"Prefer": "return=headers-only"}
    response = await api.post("/records", {"record": 9, "title": "x"}, headers)
    assert response.headers["location"] == "/records?record=eq.9"
    assert (await api.http.options("/records")).headers["allow"] == "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"


async def test_a_relation_that_is_not_there_is_refused_before_anything_changes(api: Api) -> None:
    for headers in (FULL, {}):
        assert error_of(await api.delete("/albums?id=eq.1&select=id,nothing(*)", headers)) == (400, "PGRST200")
        assert error_of(await api.delete("/albums?id=eq.1&nothing.id=eq.1", headers)) == (400, "PGRST108")
    assert api.sql("select count(*) from public.albums") == [(3,)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select=id,artists(name)&id=eq.1", [{"id": 1, "artists": {"name": "duster"}}]),
        ("select=title,artists!inner(id)&artists.name=eq.low", [{"title": "long division", "artists": {"id": 2}}]),
        ("select=id,maker(id),cheap&id=eq.2", [{"id": 2, "maker": {"id": 2}, "cheap": False}]),
        ("select=id,...artists(name)&order=price.desc&limit=1", [{"id": 3, "name": "duster"}]),
        ("select=id,artists()&artists=is.null", []),
        ("select=id,cheap&price=lt.5", [{"id": 1, "cheap": True}]),
    ],
)
async def test_a_call_gives_back_what_belongs_to_its_rows(api: Api, query: str, found: Any) -> None:
    for response in (await api.get(f"/rpc/all_albums?{query}"), await api.post(f"/rpc/all_albums?{query}")):
        assert response.json() == found


async def test_a_call_for_one_row_and_one_that_writes_embed_too(api: Api) -> None:
    one = await api.post("/rpc/album?select=title,artists(albums(id))&artists.albums.order=id", {"p_id": 1})
    assert one.json() == {"title": "stratosphere", "artists": {"albums": [{"id": 1}, {"id": 3}]}}
    added = await api.post("/rpc/add_album?select=id,artists(name)", {"p_id": 8})
    assert added.json() == [{"id": 8, "artists": {"name": "low"}}]


async def test_the_rows_of_a_call_are_counted_with_what_must_belong_to_them(api: Api) -> None:
    path = "/rpc/all_albums?select=id,artists!inner(id)&artists.id=eq.1&limit=1"
    response = await api.get(path, {"Prefer": "count=exact"})
    assert (response.status_code, response.headers["content-range"]) == (206, "0-0/2")


async def test_nothing_belongs_to_numbers(api: Api) -> None:
    assert error_of(await api.get("/rpc/numbers?select=artists(*)")) == (400, "PGRST200")
