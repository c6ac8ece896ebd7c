"""What the Realtime tests share: a gateway on a free port, signed tokens, and a client that sees every frame."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, Self

import jwt
import psycopg
import websockets
from starlette.applications import Starlette
from starlette.routing import Mount

from devstack.cluster import Cluster
from devstack.gateway import listen, serving
from devstack.realtime.app import Realtime
from devstack.realtime.limits import Limits
from devstack.realtime.settings import RealtimeSettings
from tests.conftest import BARE, Database

SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
ANN = "00000000-0000-4000-8000-00000000000a"
BEN = "00000000-0000-4000-8000-00000000000b"

Json = dict[str, Any]


def sign(role: str = "anon", *, secret: str = SECRET, seconds: float = 3600, **claims: Any) -> str:
    """A token for `role` that is good for `seconds`."""
    return jwt.encode({"role": role, "exp": time.time() + seconds, **claims}, secret, algorithm="HS256")


def user(user_id: str, **claims: Any) -> str:
    """A signed-in user's token."""
    return sign("authenticated", sub=user_id, **claims)


@dataclass(frozen=True, slots=True)
class Server:
    """A running gateway and the database behind it."""

    port: int
    database: Database

    @property
    def url(self) -> str:
        """The project's address, as given to the official clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket(self) -> str:
        """Address of the socket, without its query."""
        return f"ws://127.0.0.1:{self.port}/realtime/v1/websocket"

    def websocket_url(self, apikey: str | None = None, vsn: str = "1.0.0") -> str:
        """Address of the socket as the official clients write it."""
        return f"{self.websocket}?apikey={apikey or sign()}&vsn={vsn}"


@asynccontextmanager
async def serve(
    database: Database, limits: Limits | None = None, keys: str = SECRET, **settings: Any
) -> AsyncIterator[Server]:
    """Run a gateway on a free port over `database`, with the usual limits and secret unless told otherwise."""
    realtime = Realtime(RealtimeSettings(database.dsn("supabase_admin"), keys, limits=limits or Limits(), **settings))
    app = Starlette(routes=[Mount("/realtime/v1", realtime)])
    listener = listen(0)
    await realtime.start()
    try:
        async with serving(app, listener):
            try:
                yield Server(listener.getsockname()[1], database)
            finally:
                await realtime.stop()
    finally:
        listener.close()


@contextmanager
def database_of_module(cluster: Cluster, name: str) -> Iterator[Database]:
    """A bare database for all tests of a module, which must then leave it as they found it."""
    database = Database(cluster, name)
    cluster.clone(BARE, name)
    try:
        yield database
    finally:
        cluster.drop(name)


@contextmanager
def writer(database: Database, user: str = "postgres") -> Iterator[psycopg.Connection]:
    """A connection whose commits are in the log at once; the test cluster delays them otherwise."""
    with database.connect(user) as connection:
        connection.execute("set synchronous_commit = on")
        yield connection


async def becomes_true(connection: psycopg.Connection, question: LiteralString) -> None:
    """Wait until this SQL condition holds; an error after 10 s."""
    deadline = time.monotonic() + 10
    while connection.execute(f"select {question}").fetchone() != (True,):
        assert time.monotonic() < deadline, question
        await asyncio.sleep(0.01)


class RawClient:
    """A websocket that speaks vsn 1.0.0 by hand."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection
        self._refs = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, server: Server, apikey: str | None = None) -> AsyncIterator[Self]:
        """Connect with this key, the anon key unless told otherwise."""
        async with websockets.connect(server.websocket_url(apikey), max_size=None) as connection:
            yield cls(connection)

    async def send(self, event: str, payload: Json, topic: str = "realtime:room", join_ref: str | None = None) -> str:
        """Send a frame; returns its ref."""
        self._refs += 1
        ref = str(self._refs)
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
        await self.connection.send(json.dumps(frame))
        return ref

    async def join(
        self, *bindings: Json, token: str | None = None, topic: str = "realtime:room", **config: Any
    ) -> Json:
        """Join and return the payload of the reply."""
        payload: Json = {"config": {"postgres_changes": list(bindings), **config}, "access_token": token}
        ref = await self.send("phx_join", payload, topic, str(self._refs + 1))
        reply = await self.until(lambda frame: frame["event"] == "phx_reply" and frame["ref"] == ref)
        result: Json = reply["payload"]
        return result

    async def subscribe(
        self, *bindings: Json, token: str | None = None, topic: str = "realtime:room", **config: Any
    ) -> list[Json]:
        """Join and wait until changes flow; returns the bindings of the reply."""
        reply = await self.join(*bindings, token=token, topic=topic, **config)
        assert reply["status"] == "ok", reply
        system = await self.until(lambda frame: frame["event"] == "system" and frame["topic"] == topic)
        assert system["payload"]["status"] == "ok", system
        entries: list[Json] = reply["response"]["postgres_changes"]
        return entries

    async def receive(self) -> Json:
        """The next frame, within 5 s."""
        async with asyncio.timeout(5):
            frame: Json = json.loads(await self.connection.recv())
            return frame

    async def until(self, wanted: Callable[[Json], bool]) -> Json:
        """The next frame that is wanted; drops those before it."""
        while not wanted(frame := await self.receive()):
            pass
        return frame

    async def change(self) -> Json:
        """The data of the next row change."""
        frame = await self.until(lambda frame: frame["event"] == "postgres_changes")
        data: Json = frame["payload"]["data"]
        return data


def watching(table: str = "jobs", event: str = "*", **entry: Any) -> Json:
    """An entry of `postgres_changes` as the Python client sends it."""
    return {"event": event, "schema": "public", "table": table, **entry}
