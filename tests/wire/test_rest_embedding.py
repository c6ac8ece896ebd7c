"""Relations inside other relations: every kind of relationship, hints, filters on each level, and who may see them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.test_rest_server import Api, bearer, error_of, serve_schema

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.teams (id int primary key, name text, budget numeric(8, 2));
create table public.people (
  id int primary key, name text, team_id int constraint team references public.teams,
  boss int constraint reports_to references public.people
);
create table public.badges (person_id int primary key references public.people, code text, data jsonb);
create table public.skills (id int primary key, name text);
create table public.people_skills (
  person_id int references public.people, skill_id int references public.skills, level int,
  primary key (person_id, skill_id)
);
create table public.letters (
  id int primary key, sender int constraint sent_by references public.people,
  receiver int constraint sent_to references public.people
);
create table public.pairs (a int, b int, primary key (a, b));
create table public.notes (id int primary key, a int, b int, foreign key (a, b) references public.pairs);
create view public.staff as select id as staff_id, name, team_id as of_team from public.people;
create view public.staff_again as select staff_id as again_id, of_team from public.staff;
create view public.odd as with p as (select * from public.people) select p.id as odd_id, p.team_id,
  (select t.name from public.teams t where t.id = p.team_id) as team_name, ':resno 1 {TARGETENTRY' as "odd {name}"
  from p;
create function public.mates(public.people) returns setof public.people language sql stable
  as 'select * from public.people p where p.team_id = $1.team_id and p.id <> $1.id order by p.id';
create function public.home(public.people) returns setof public.teams rows 1 language sql stable
  as 'select * from public.teams where id = $1.team_id';
create function public.initial(public.people) returns text language sql stable as 'select left($1.name, 1)';
create table public.secrets (id int primary key, person_id int references public.people, text text);
alter table public.secrets enable row level security;
create policy own on public.secrets for select to authenticated using (text = 'mine');
create table public.wages (id int primary key, person_id int references public.people, amount int);
create schema hidden;
create table hidden.joins (
  person_id int references public.people, pair_id int references public.skills, primary key (person_id, pair_id)
);
insert into public.teams values (1, 'red', 1.10), (2, 'blue', 2), (3, 'none', null);
insert into public.people values (1, 'Ana', 1, null), (2, 'Bob', 1, 1), (3, 'Cid', 2, 1), (4, 'Dee', null, 2);
insert into public.badges values (1, 'A1', '{"k": 2}'), (2, 'B1', '{"k": 1}');
insert into public.skills values (1, 'sing'), (2, 'dance');
insert into public.people_skills values (1, 1, 5), (1, 2, 3), (2, 2, 1);
insert into public.letters values (1, 1, 2);
insert into public.pairs values (1, 2);
insert into public.notes values (1, 1, 2), (2, null, null);
insert into public.secrets values (1, 1, 'mine'), (2, 1, 'theirs');
grant select on public.teams, public.people, public.badges, public.skills, public.people_skills, public.letters,
  public.pairs, public.notes, public.staff, public.staff_again, public.odd to anon;
grant select on public.secrets to anon, authenticated;
grant select on public.people to authenticated;
grant select (id, person_id) on public.wages to anon;
grant execute on function public.mates, public.home, public.initial to anon;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serve_schema(cluster, SCHEMA, max_rows=50) as api:
        yield api


async def rows(api: Api, path: str) -> Any:
    response = await api.get(path)
    assert response.status_code in (200, 206), response.text
    return response.json()


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/people?id=eq.1&select=name,teams(*)", {"name": "Ana", "teams": {"id": 1, "name": "red", "budget": 1.10}}),
        ("/people?id=eq.4&select=id,teams(id)", {"id": 4, "teams": None}),
        ("/teams?id=eq.1&select=id,people(name)", {"id": 1, "people": [{"name": "Ana"}, {"name": "Bob"}]}),
        ("/teams?id=eq.3&select=id,people(name)", {"id": 3, "people": []}),
        ("/people?id=eq.1&select=id,badges(code)", {"id": 1, "badges": {"code": "A1"}}),
        ("/badges?person_id=eq.2&select=code,people(name)", {"code": "B1", "people": {"name": "Bob"}}),
        ("/people?id=eq.1&select=id,s:skills(name)", {"id": 1, "s": [{"name": "sing"}, {"name": "dance"}]}),
        ("/skills?id=eq.2&select=people(name)", {"people": [{"name": "Ana"}, {"name": "Bob"}]}),
        ("/notes?id=eq.1&select=pairs(a,b)", {"pairs": {"a": 1, "b": 2}}),
        ("/teams?id=eq.2&select=people(skills(id),badges(code))", {"people": [{"skills": [], "badges": None}]}),
        ("/people?id=eq.2&select=id,team(name)", {"id": 2, "team": {"name": "red"}}),
        ("/people?id=eq.2&select=id,team_id,t:team_id(name)", {"id": 2, "team_id": 1, "t": {"name": "red"}}),
        ("/people?id=eq.4&select=boss(name,boss(name))", {"boss": {"name": "Bob", "boss": {"name": "Ana"}}}),
        ("/people?id=eq.2&select=staff:people!boss(id)", {"staff": [{"id": 4}]}),
        ("/letters?select=sent_by(name),receiver(name)", {"sent_by": {"name": "Ana"}, "receiver": {"name": "Bob"}}),
        ("/letters?select=a:people!sender(id),b:people!sent_to(id)", {"a": {"id": 1}, "b": {"id": 2}}),
        ("/people?id=eq.1&select=letters!sent_by(id)", {"letters": [{"id": 1}]}),
        ("/people?id=eq.1&select=skills!people_skills(id)", {"skills": [{"id": 1}, {"id": 2}]}),
        ("/staff?staff_id=eq.1&select=name,teams(name)", {"name": "Ana", "teams": {"name": "red"}}),
        ("/staff?staff_id=eq.2&select=skills(id),badges(code)", {"skills": [{"id": 2}], "badges": {"code": "B1"}}),
        ("/teams?id=eq.2&select=staff(staff_id)", {"staff": [{"staff_id": 3}]}),
        ("/badges?person_id=eq.1&select=staff(name)", {"staff": {"name": "Ana"}}),
        ("/staff_again?again_id=eq.3&select=teams(id)", {"teams": {"id": 2}}),
        ("/odd?odd_id=eq.2&select=team_name,teams(id)", {"team_name": "red", "teams": {"id": 1}}),
        ("/odd?odd_id=eq.2&select=badges(code),skills(id)", {"badges": {"code": "B1"}, "skills": [{"id": 2}]}),
        ("/people?id=eq.1&select=mates(id)", {"mates": [{"id": 2}]}),
        ("/people?id=eq.1&select=home(name),initial", {"home": {"name": "red"}, "initial": "A"}),
        ("/teams?id=eq.2&select=people(home(people(id)))", {"people": [{"home": {"people": [{"id": 3}]}}]}),
        ("/people?id=eq.1&select=id,...teams(team:name)", {"id": 1, "team": "red"}),
        ("/badges?person_id=eq.1&select=...people(name,...teams(budget))", {"name": "Ana", "budget": 1.10}),
        ("/people?id=eq.4&select=id,...teams(team:name)", {"id": 4, "team": None}),
        ("/teams?id=eq.1&select=id,...people(names:name)", {"id": 1, "names": ["Ana", "Bob"]}),
        ("/teams?id=eq.3&select=name,...people(people:name)", {"name": "none", "people": []}),
        ("/skills?id=eq.1&select=...people_skills(level,...people(name))", {"level": [5], "name": ["Ana"]}),
        ("/people?id=eq.1&select=id,teams()", {"id": 1}),
        ("/people?id=eq.1&select=teams(people())", {}),
    ],
)  # fmt: skip
async def test_a_relation_is_embedded(api: Api, path: str, row: dict[str, Any]) -> None:
    assert await rows(api, path) == [row]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select=id,people(id)&people.id=gt.1&id=lt.3", {1: [2], 2: [3]}),
        ("select=id,p:people(id)&p.name=like.A*&id=lt.3", {1: [1], 2: []}),
        ("select=id,people(id)&people.order=name.desc&id=eq.1", {1: [2, 1]}),
        ("select=id,people(id)&people.order=id&people.limit=1&people.offset=1&id=lt.3", {1: [2], 2: []}),
        ("select=id,people(id)&people.limit=0&id=eq.1", {1: []}),
        ("select=id,people(id)&people.or=(id.eq.2,name.eq.Cid)&id=lt.3", {1: [2], 2: [3]}),
        ("select=id,people(id)&people.not.and=(id.gt.1)&id=lt.3", {1: [1], 2: []}),
        ("select=id,people(id,skills!inner(id))&people.skills.id=eq.2&id=eq.1", {1: [1, 2]}),
        ("select=id,people!inner(id)", {1: [1, 2], 2: [3]}),
        ("select=id,people!left(id)&id=eq.3", {3: []}),
        ("select=id,people!inner(id)&people.name=eq.Cid", {2: [3]}),
        ("select=id,people!inner(id,badges!inner(code))", {1: [1, 2]}),
        ("select=id,people!inner(id,badges!inner(code))&people.badges.code=eq.B1", {1: [2]}),
        ("select=id,people(id)&people=not.is.null", {1: [1, 2], 2: [3]}),
        ("select=id,people(id)&people=is.null", {3: []}),
        ("select=id,people(id)&people.name=eq.Bob&people=not.is.null", {1: [2]}),
        ("select=id,people(id)&or=(people.is.null,id.eq.2)", {2: [3], 3: []}),
        ('select=id,"p.q":people(id)&"p.q".limit=1&"p.q".order=id&id=eq.1', {1: [1]}),
    ],
)
async def test_each_level_is_filtered_and_counted(api: Api, query: str, found: dict[int, list[int]]) -> None:
    response = await api.get(f"/teams?{query}&order=id", {"Prefer": "count=exact"})
    embedded = [next(value for key, value in row.items() if key != "id") for row in response.json()]
    ids = {row["id"]: [one["id"] for one in there] for row, there in zip(response.json(), embedded, strict=True)}
    assert ids == found
    assert response.headers["content-range"] == f"0-{len(found) - 1}/{len(found)}"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("select=id,teams(name)&order=teams(name).desc.nullslast,id", [1, 2, 3, 4]),
        ("select=id,t:teams(name)&order=t(name).asc.nullsfirst,id.desc", [4, 3, 2, 1]),
        ("select=id,badges(data)&order=badges(data->k),id.desc", [2, 1, 4, 3]),
        ("select=id,home(name)&order=home(name).nullsfirst,id", [4, 3, 1, 2]),
        ("select=id,teams()&teams=is.null", [4]),
        ("select=id,boss(id,teams(id))&boss.order=teams(id)&id=eq.2", [2]),
    ],
)
async def test_rows_are_sorted_and_chosen_by_what_is_embedded(api: Api, query: str, ids: list[int]) -> None:
    assert [row["id"] for row in await rows(api, f"/people?{query}")] == ids


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/people?select=nothing(*)", 400, "PGRST200"),
        ("/people?select=teams!nothing(*)", 400, "PGRST200"),
        ("/teams?select=people(id),people(name)", 400, "42712"),
        ("/teams?select=people(skills(id),skills:badges(code))", 400, "42712"),
        ("/people?select=teams(nothing(*))", 400, "PGRST200"),
        ("/people?select=joins(*)", 400, "PGRST200"),
        ("/letters?select=people(*)", 300, "PGRST201"),
        ("/teams?select=people(*)&persons.id=eq.1", 400, "PGRST108"),
        ("/teams?select=people(*)&people.badges.code=eq.1", 400, "PGRST108"),
        ("/people?select=teams(*)&order=nothing(id)", 400, "PGRST108"),
        ("/teams?select=people(*)&order=people(id)", 400, "PGRST118"),
        ("/people?select=teams(count())", 400, "PGRST123"),
        ("/people?select=teams(nothing)", 400, "42703"),
        ("/people?select=teams(id)&teams.nothing=eq.1", 400, "42703"),
        ("/people?select=teams(id)&order=teams(name)", 400, "42703"),
        ("/people?select=teams(id)&teams.id=eq.x", 400, "22P02"),
        ("/teams?select=people(id)&people.limit=-1", 400, "2201W"),
        ("/people?select=wages(amount)", 401, "42501"),
        ("/people?select=wages(*)", 401, "42501"),
        ("/people?select=id,teams(*", 400, "PGRST100"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_by_its_code(api: Api, path: str, status: int, code: str) -> None:
    assert error_of(await api.get(path)) == (status, code)


async def test_several_ways_to_a_relation_are_told_in_full(api: Api) -> None:
    assert (await api.get("/letters?select=people(*)")).json() == {
        "code": "PGRST201",
        "message": "Could not embed because more than one relationship was found for 'letters' and 'people'",
        "details": [
            {
                "cardinality": "many-to-one",
                "embedding": "letters with people",
                "relationship": f"{key} using letters({column}) and people(id)",
            }
            for key, column in (("sent_by", "sender"), ("sent_to", "receiver"))
        ],
        "hint": "Try changing 'people' to one of the following: 'people!sent_by', 'people!sent_to'."
        " Find the desired relationship in the 'details' key.",
    }


async def test_no_way_to_a_relation_is_told_with_what_was_searched_for(api: Api) -> None:
    body = (await api.get("/people?select=team1(*)")).json()
    assert body["message"] == "Could not find a relationship between 'people' and 'team1' in the schema cache"
    assert body["details"] == (
        "Searched for a foreign key relationship between 'people' and 'team1' in the schema 'public',"
        " but no matches were found."
    )
    assert body["hint"] == "Perhaps you meant 'teams' instead of 'team1'."
    hinted = (await api.get("/people?select=teams!nothing(*)")).json()
    assert "using the hint 'nothing'" in hinted["details"]
    assert hinted["hint"] is None


async def test_policies_hold_for_what_is_embedded(api: Api) -> None:
    path = "/people?id=eq.1&select=secrets(id)"
    assert (await api.get(path)).json() == [{"secrets": []}]
    assert (await api.get(path, bearer())).json() == [{"secrets": [{"id": 1}]}]


async def test_column_privileges_hold_for_what_is_embedded(api: Api) -> None:
    assert (await api.get("/people?id=eq.1&select=wages(id)")).json() == [{"wages": []}]
    assert error_of(await api.get("/people?select=id,wages(id)&wages.amount=gt.1")) == (401, "42501")


async def test_every_level_holds_at_most_so_many_rows(cluster: Cluster) -> None:
    schema = """
    create table public.a (id int primary key);
    create table public.b (id int primary key, a int references public.a);
    insert into public.a select generate_series(1, 4);
    insert into public.b select n, 1 + n % 2 from generate_series(1, 20) n;
    grant select on public.a, public.b to anon;
    """
    async with serve_schema(cluster, schema, max_rows=3) as api:
        found = (await api.get("/a?select=id,b(id)&order=id")).json()
        assert [len(row["b"]) for row in found] == [3, 3, 0]


async def test_a_planned_count_knows_of_what_is_embedded(api: Api) -> None:
    api.sql("analyze public.people")
    response = await api.get("/people?select=id,teams!inner(id)", {"Prefer": "count=planned"})
    assert int(response.headers["content-range"].partition("/")[2]) > 0


async def test_a_new_foreign_key_is_found_without_a_word(api: Api) -> None:
    api.sql("create table public.cars (id int primary key, owner int references public.people);")
    api.sql("grant select on public.cars to anon")
    assert (await api.get("/cars?select=id,people(name)")).json() == []
    api.sql("drop table public.cars")
