"""Which tables a subscription means: names are patterns, and the publication is looked at from time to time."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.wire.realtime_support import Json, RawClient, Server, serve, watching, writer

SCHEMA = """
create table job_a (id int primary key); create table job_b (id int primary key);
create table jobsa (id int primary key);
create table other (id int primary key);
grant select on job_a, job_b, jobsa, other to anon;
alter publication supabase_realtime add table job_a, jobsa;
"""


@pytest.fixture
async def server(bare_database: Database) -> AsyncIterator[Server]:
    with bare_database.connect() as connection:
        connection.execute(SCHEMA)
    async with serve(bare_database, publication_seconds=0.05) as running:
        yield running


def _system(frame: Json) -> bool:
    return bool(frame["event"] == "system")


async def test_an_underscore_in_a_name_stands_for_any_character(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching("job_a"))
        await client.subscribe(watching("job_a", filter="id=gt.1"), topic="realtime:filtered")
        with writer(server.database) as database:
            database.execute("insert into job_a values (1); insert into jobsa values (1); insert into jobsa values (2)")
            found = [await client.until(lambda frame: frame["event"] == "postgres_changes") for _ in range(4)]
    seen = sorted((f["topic"], f["payload"]["data"]["table"], f["payload"]["data"]["record"]["id"]) for f in found)
    assert seen == [
        ("realtime:filtered", "jobsa", 2),
        ("realtime:room", "job_a", 1),
        ("realtime:room", "jobsa", 1),
        ("realtime:room", "jobsa", 2),
    ]


async def test_a_percent_sign_in_a_name_stands_for_any_text_and_a_backslash_for_itself(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching("job%"))
        await client.join(watching(r"job\_a"), topic="realtime:escaped")
        refusal = await client.until(_system)
        assert refusal["topic"] == "realtime:escaped"
        assert refusal["payload"]["status"] == "error"


async def test_everyone_is_subscribed_anew_when_the_publication_changes(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching("job%", filter="id=gt.1"))
        with writer(server.database) as database:
            database.execute("alter publication supabase_realtime add table job_b")
            again = await client.until(_system)
            assert again["payload"]["message"] == "Subscribed to PostgreSQL"
            database.execute("insert into job_b values (2)")
            assert (await client.change())["table"] == "job_b"


async def test_a_subscription_whose_tables_are_published_no_more_is_told_so(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching("job_a"))
        await client.subscribe(watching("jobsa"), topic="realtime:stays")
        with writer(server.database) as database:
            database.execute("alter publication supabase_realtime drop table job_a, jobsa")
            database.execute("alter publication supabase_realtime add table other")
            told = [await client.until(_system) for _ in range(2)]
    assert {frame["payload"]["status"] for frame in told} == {"error"}
    assert all("Please check Realtime is enabled" in frame["payload"]["message"] for frame in told)
