import asyncio
import time
from datetime import UTC, datetime

from devstack.faults import Faults
from devstack.testing import Clock, Project, User


def test_nobody_sees_the_notes_of_another(project: Project, user: User) -> None:
    user.client.table("notes").insert({"text": "mine"}, returning="minimal").execute()
    other = project.sign_up()
    assert len(user.client.table("notes").select("*").execute().data) == 1
    assert other.client.table("notes").select("*").execute().data == []


async def test_a_note_arrives_live(project: Project, user: User) -> None:
    arrived: asyncio.Queue[str] = asyncio.Queue()
    ready = asyncio.Event()
    async with project.async_client(user) as client:
        channel = client.channel("my notes")
        channel.on_postgres_changes(
            "INSERT",
            lambda change: arrived.put_nowait(change["data"]["record"]["text"]),
            table="notes",
            schema="public",
        )
        channel.on_system(lambda message: ready.set())
        await channel.subscribe()
        await asyncio.wait_for(ready.wait(), 10)
        await client.table("notes").insert({"text": "hello"}, returning="minimal").execute()
        assert await asyncio.wait_for(arrived.get(), 10) == "hello"


def test_a_new_note_is_not_archived(project: Project, user: User) -> None:
    user.client.table("notes").insert({"text": "new"}, returning="minimal").execute()
    assert project.run_cron_job("archive").status == "succeeded"
    assert user.client.table("notes").select("archived").execute().data == [{"archived": False}]


def test_an_old_note_is_archived_in_the_night(user: User, clock: Clock) -> None:
    user.client.table("notes").insert({"text": "old"}, returning="minimal").execute()
    next_year = datetime.now(UTC).year + 1
    clock.set(datetime(next_year, 6, 1, 1, 59, 59, tzinfo=UTC))
    wait_for(lambda: user.client.table("notes").select("archived").execute().data == [{"archived": True}])


def test_a_night_without_connections_archives_nothing(project: Project, user: User, faults: Faults) -> None:
    user.client.table("notes").insert({"text": "new"}, returning="minimal").execute()
    faults.cron.refuse()
    run = project.run_cron_job("archive")
    assert (run.status, run.message) == ("failed", "connection failed")


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
