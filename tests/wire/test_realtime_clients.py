"""The official Python clients, unchanged, against the gateway; also against a hosted project (`hosted`)."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from realtime import AsyncRealtimeChannel, AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.types import RealtimePostgresChangesListenEvent as Event
from supabase import acreate_client

from tests.wire.hosted import ServedProject, named_project, served_project
from tests.wire.realtime_support import user
from tests.wire.test_auth_server import DOMAIN, PASSWORD, AuthApi, new_email

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create table public.parcels (id int8 primary key, user_id uuid, status text, payload jsonb, cost numeric);
alter table public.parcels enable row level security;
grant select on public.parcels to authenticated;
create policy owners on public.parcels for select using (user_id = auth.uid());
alter publication supabase_realtime add table public.parcels;
create function public.tested() returns boolean language sql stable as 'select true';
grant execute on function public.tested to anon;
"""
UNDO = f"""
drop table public.parcels; drop function public.tested;
delete from auth.users where email like '%@{DOMAIN}';
"""
PATIENCE = 15
"""Seconds in which a change must come; a hosted project on the other side of the world takes some."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class Server:
    """A project with two people in it."""

    project: ServedProject
    ann: Person
    ben: Person


async def someone(auth: AuthApi) -> Person:
    account = {"email": new_email(), "password": PASSWORD}
    auth.good(await auth.admin("POST", "", {**account, "email_confirm": True}))
    session = await auth.sign_in(account)
    return Person(session["user"]["id"], session["access_token"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with served_project(lambda: request.getfixturevalue("cluster"), SCHEMA, UNDO) as project:
        async with httpx.AsyncClient() as http:
            auth = AuthApi(project.url, http, project.anon_key, project.service_role_key)
            ann, ben = await someone(auth), await someone(auth)
        yield Server(project, ann, ben)


@pytest.fixture
def database(server: Server) -> Iterator[psycopg.Connection]:
    """The owner's connection, whose commits are in the log at once; the test cluster delays them otherwise."""
    with psycopg.connect(server.project.db_url, autocommit=True) as connection:
        connection.execute("set synchronous_commit = on")
        connection.execute("truncate public.parcels")
        yield connection


@asynccontextmanager
async def client(server: Server, token: str | None = None) -> AsyncIterator[AsyncRealtimeClient]:
    """A connected client, signed in with `token` if there is one."""
    key = server.project.anon_key
    realtime = AsyncRealtimeClient(f"{server.project.url}/realtime/v1", key)
    await realtime.connect()
    await realtime.set_auth(token or key)
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
            event, lambda payload: self.changes.put_nowait((name, payload["data"])), **{"table": "parcels", **binding}
        )
        return self

    async def subscribe(self) -> "Heard":
        """Subscribe and wait until changes flow."""
        self.channel.on_system(lambda _: self._flowing.set())
        await self.channel.subscribe(lambda state, _: self.states.put_nowait(state))
        async with asyncio.timeout(PATIENCE):
            await self._flowing.wait()
        return self

    async def next(self, count: int = 1) -> list[tuple[str, Any]]:
        """The next changes, with the names of their bindings."""
        async with asyncio.timeout(PATIENCE):
            return [await self.changes.get() for _ in range(count)]

    async def state(self) -> RealtimeSubscribeStates:
        """The next state of the channel."""
        async with asyncio.timeout(PATIENCE):
            return await self.states.get()


async def test_every_callback_gets_its_events_and_no_others(server: Server, database: psycopg.Connection) -> None:
    async with client(server, server.ann.token) as realtime:
        heard = Heard(realtime.channel("parcels"))
        heard.on("all", Event.All).on("insert", Event.Insert).on("update", Event.Update).on("delete", Event.Delete)
        heard.on("done", Event.Update, filter="status=eq.completed").on("failed", Event.All, filter="status=eq.failed")
        await heard.subscribe()
        database.execute("insert into parcels values (1, %s, 'pending', '{\"n\": 1}', 2.50)", (server.ann.id,))
        inserted = await heard.next(2)
        database.execute("update parcels set status = 'completed'")
        updated = await heard.next(3)
        database.execute("delete from parcels")
        deleted = await heard.next(2)
    assert [name for name, _ in inserted] == ["all", "insert"]
    assert [name for name, _ in updated] == ["all", "update", "done"]
    assert [name for name, _ in deleted] == ["all", "delete"]
    record = {"id": 1, "user_id": server.ann.id, "status": "pending", "payload": {"n": 1}, "cost": 2.5}
    assert inserted[0][1]["record"] == record
    assert updated[0][1]["record"] == {**record, "status": "completed"}


async def test_the_second_user_sees_nothing(server: Server, database: psycopg.Connection) -> None:
    async with client(server, server.ann.token) as ann, client(server, server.ben.token) as ben:
        watched = await Heard(ann.channel("parcels")).on("ann", Event.All).subscribe()
        foreign = (
            await Heard(ben.channel("parcels")).on("ben", Event.All, filter=f"user_id=eq.{server.ann.id}").subscribe()
        )
        own = await Heard(ben.channel("own")).on("own", Event.All).subscribe()
        database.execute("insert into parcels values (1, %s)", (server.ann.id,))
        database.execute("insert into parcels values (2, %s)", (server.ben.id,))
        assert (await watched.next())[0][1]["record"]["id"] == 1
        assert (await own.next())[0][1]["record"]["id"] == 2
        assert foreign.changes.empty()


async def test_a_refreshed_token_changes_who_is_watching(server: Server, database: psycopg.Connection) -> None:
    async with client(server, server.ben.token) as realtime:
        heard = await Heard(realtime.channel("parcels")).on("all", Event.All).subscribe()
        resubscribed = asyncio.Event()
        heard.channel.on_system(lambda _: resubscribed.set())
        await realtime.set_auth(server.ann.token)
        async with asyncio.timeout(PATIENCE):
            await resubscribed.wait()
        database.execute("insert into parcels values (1, %s)", (server.ann.id,))
        assert (await heard.next())[0][1]["record"]["id"] == 1


@pytest.mark.skipif(named_project(os.environ) is not None, reason="no hosted project signs a token for one second")
async def test_the_channel_ends_when_the_token_does(server: Server) -> None:
    async with client(server, user(server.ann.id, seconds=1)) as realtime:
        heard = await Heard(realtime.channel("parcels")).on("all", Event.All).subscribe()
        states = [await heard.state() for _ in range(3)]
        assert realtime.is_connected
    assert states == [
        RealtimeSubscribeStates.SUBSCRIBED,
        RealtimeSubscribeStates.CHANNEL_ERROR,
        RealtimeSubscribeStates.CLOSED,
    ]


async def test_an_unsubscribable_table_is_an_error_of_the_channel(server: Server) -> None:
    async with client(server) as realtime:
        heard = Heard(realtime.channel("parcels")).on("all", Event.All, table="nowhere")
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
        async with asyncio.timeout(PATIENCE):
            assert (await heard.get())["payload"] == {"from": "one"}


async def test_the_supabase_client_joins_through_its_own_url(server: Server, database: psycopg.Connection) -> None:
    supabase = await acreate_client(server.project.url, server.project.anon_key)
    await supabase.realtime.connect()
    await supabase.realtime.set_auth(server.ann.token)
    try:
        heard = await Heard(supabase.channel("parcels")).on("all", Event.All).subscribe()
        database.execute("insert into parcels values (1, %s)", (server.ann.id,))
        assert (await heard.next())[0][1]["type"] == "INSERT"
    finally:
        await supabase.remove_all_channels()
