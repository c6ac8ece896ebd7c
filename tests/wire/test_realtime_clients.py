"""The official Python clients, unchanged, against the gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from realtime import AsyncRealtimeChannel, AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.types import RealtimePostgresChangesListenEvent as Event
from supabase import acreate_client

from tests.conftest import Database
from tests.wire.realtime_support import ANN, BEN, Server, serve, sign, user, writer


@pytest.fixture
async def server(bare_database: Database) -> AsyncIterator[Server]:
    with bare_database.connect() as connection:
        connection.execute(
            "create table jobs (id int8 primary key, user_id uuid, status text, payload jsonb, cost numeric);"
            "alter table jobs enable row level security; grant select on jobs to authenticated;"
            "create policy owners on jobs for select using"
            " (user_id = (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid);"
            "alter publication supabase_realtime add table jobs"
        )
    async with serve(bare_database) as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    with writer(server.database) as connection:
        yield connection


@asynccontextmanager
async def client(server: Server, token: str | None = None) -> AsyncIterator[AsyncRealtimeClient]:
    """A connected client, signed in with `token` if there is one."""
    realtime = AsyncRealtimeClient(f"{server.url}/realtime/v1", sign())
    await realtime.connect()
    await realtime.set_auth(token or sign())
    try:
        yield realtime
    finally:
        await realtime.close()


class Heard:
    """What the callbacks of one channel were called with."""

    def __init__(self, channel: AsyncRealtimeChannel) -> None:
        self.channel = channel
        self.changes: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.states: asyncio.Queue[RealtimeSubscribeStates] = asyncio.Queue()
        self._flowing = asyncio.Event()

    def on(self, name: str, event: Event, **binding: Any) -> "Heard":
        """Note the changes for this binding under `name`."""
        self.channel.on_postgres_changes(
            event, lambda payload: self.changes.put_nowait((name, payload["data"])), **{"table": "jobs", **binding}
        )
        return self

    async def subscribe(self) -> "Heard":
        """Subscribe and wait until changes flow."""
        self.channel.on_system(lambda _: self._flowing.set())
        await self.channel.subscribe(lambda state, _: self.states.put_nowait(state))
        async with asyncio.timeout(5):
            await self._flowing.wait()
        return self

    async def next(self, count: int = 1) -> list[tuple[str, Any]]:
        """The next changes, with the names of their bindings."""
        async with asyncio.timeout(5):
            return [await self.changes.get() for _ in range(count)]

    async def state(self) -> RealtimeSubscribeStates:
        """The next state of the channel."""
        async with asyncio.timeout(5):
            return await self.states.get()


async def test_every_callback_gets_its_events_and_no_others(server: Server, database: psycopg.Connection) -> None:
    async with client(server, user(ANN)) as realtime:
        heard = Heard(realtime.channel("jobs"))
        heard.on("all", Event.All).on("insert", Event.Insert).on("update", Event.Update).on("delete", Event.Delete)
        heard.on("done", Event.Update, filter="status=eq.completed").on("failed", Event.All, filter="status=eq.failed")
        await heard.subscribe()
        database.execute("insert into jobs values (1, %s, 'pending', '{\"n\": 1}', 2.50)", (ANN,))
        inserted = await heard.next(2)
        database.execute("update jobs set status = 'completed'")
        updated = await heard.next(3)
        database.execute("delete from jobs")
        deleted = await heard.next(2)
    assert [name for name, _ in inserted] == ["all", "insert"]
    assert [name for name, _ in updated] == ["all", "update", "done"]
    assert [name for name, _ in deleted] == ["all", "delete"]
    record = {"id": 1, "user_id": ANN, "status": "pending", "payload": {"n": 1}, "cost": 2.5}
    assert inserted[0][1]["record"] == record
    assert updated[0][1]["record"] == {**record, "status": "completed"}


async def test_the_second_user_sees_nothing(server: Server, database: psycopg.Connection) -> None:
    async with client(server, user(ANN)) as ann, client(server, user(BEN)) as ben:
        watched = await Heard(ann.channel("jobs")).on("ann", Event.All).subscribe()
        foreign = await Heard(ben.channel("jobs")).on("ben", Event.All, filter=f"user_id=eq.{ANN}").subscribe()
        own = await Heard(ben.channel("own")).on("own", Event.All).subscribe()
        database.execute("insert into jobs values (1, %s)", (ANN,))
        database.execute("insert into jobs values (2, %s)", (BEN,))
        assert (await watched.next())[0][1]["record"]["id"] == 1
        assert (await own.next())[0][1]["record"]["id"] == 2
        assert foreign.changes.empty()


async def test_a_refreshed_token_changes_who_is_watching(server: Server, database: psycopg.Connection) -> None:
    async with client(server, user(BEN)) as realtime:
        heard = await Heard(realtime.channel("jobs")).on("all", Event.All).subscribe()
        resubscribed = asyncio.Event()
        heard.channel.on_system(lambda _: resubscribed.set())
        await realtime.set_auth(user(ANN))
        async with asyncio.timeout(5):
            await resubscribed.wait()
        database.execute("insert into jobs values (1, %s)", (ANN,))
        assert (await heard.next())[0][1]["record"]["id"] == 1


async def test_the_channel_ends_when_the_token_does(server: Server) -> None:
    async with client(server, user(ANN, seconds=1)) as realtime:
        heard = await Heard(realtime.channel("jobs")).on("all", Event.All).subscribe()
        states = [await heard.state() for _ in range(3)]
        assert realtime.is_connected
    assert states == [
        RealtimeSubscribeStates.SUBSCRIBED,
        RealtimeSubscribeStates.CHANNEL_ERROR,
        RealtimeSubscribeStates.CLOSED,
    ]


async def test_an_unsubscribable_table_is_an_error_of_the_channel(server: Server) -> None:
    async with client(server) as realtime:
        heard = Heard(realtime.channel("jobs")).on("all", Event.All, table="nowhere")
        await heard.channel.subscribe(lambda state, _: heard.states.put_nowait(state))
        states = [await heard.state() for _ in range(2)]
    assert states == [RealtimeSubscribeStates.SUBSCRIBED, RealtimeSubscribeStates.CHANNEL_ERROR]


async def test_broadcast_between_two_clients(server: Server) -> None:
    async with client(server) as one, client(server) as two:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        await two.channel("room").on_broadcast("hello", heard.put_nowait).subscribe()
        sender = one.channel("room")
        await sender.subscribe()
        await sender.send_broadcast("hello", {"from": "one"})
        async with asyncio.timeout(5):
            assert (await heard.get())["payload"] == {"from": "one"}


async def test_the_supabase_client_joins_through_its_own_url(server: Server, database: psycopg.Connection) -> None:
    supabase = await acreate_client(server.url, sign())
    await supabase.realtime.connect()
    await supabase.realtime.set_auth(user(ANN))
    try:
        heard = await Heard(supabase.channel("jobs")).on("all", Event.All).subscribe()
        database.execute("insert into jobs values (1, %s)", (ANN,))
        assert (await heard.next())[0][1]["type"] == "INSERT"
    finally:
        await supabase.remove_all_channels()
