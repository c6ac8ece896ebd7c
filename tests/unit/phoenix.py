"""A Realtime server that is a script: it speaks the protocol, and does to its clients what a test wants."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from filaviva.errors import FilaVivaError
from filaviva.realtime.connection import Connection
from filaviva.realtime.feed import Change
from filaviva.realtime.settings import RealtimeSettings

Message = dict[str, Any]

QUICK = RealtimeSettings(
    heartbeat_seconds=1.0, first_pause_seconds=0.1, rejoin_spread_seconds=0.1, joins_per_second=1000, linger_seconds=0.2
)
"""Settings for tests that do not want to wait."""


class Phoenix:
    """Answers every join as the next of `joins` says ("refuse: <reason>", "system error: <text>"), and well after."""

    def __init__(self) -> None:
        self.joins: list[str] = []
        self.heard: list[Message] = []
        self.sockets: list[ServerConnection] = []
        self.open_topics: set[str] = set()
        self.is_mute = False
        self.broadcast_refusal = ""
        self.port = 0
        self._server: Server | None = None
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await serve(self._speak, "127.0.0.1", self.port)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)

    def said(self, event: str) -> list[Message]:
        return [message for message in self.heard if message["event"] == event]

    async def tell(self, event: str, payload: Message, to: int = -1, ref: str | None = None) -> None:
        """Push to a channel, by the order of the joins."""
        await self._send(self.sockets[-1], self.said("phx_join")[to]["topic"], event, payload, ref)

    async def change(self, kind: str = "UPDATE", errors: list[str] | None = None, to: int = -1, **row: Any) -> None:
        data = {"schema": "public", "table": "jobs", "type": kind, "errors": errors, "columns": [], **row}
        data["commit_timestamp"] = "2026-01-01T00:00:00.000Z"
        await self.tell("postgres_changes", {"ids": [7], "data": data}, to)

    async def _speak(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        try:
            async for text in socket:
                await self._take(socket, json.loads(text))
        finally:
            self.open_topics.clear()

    async def _take(self, socket: ServerConnection, message: Message) -> None:
        topic, done = message["topic"], {"status": "ok", "response": {}}
        if self.is_mute:
            return
        if message["event"] == "phx_join":
            await self._answer_join(socket, message)
        elif message["event"] == "phx_leave":
            self.open_topics.discard(topic)
            await self._send(socket, topic, "phx_reply", done, message["ref"])
        elif message["event"] == "broadcast" and self.broadcast_refusal:
            refusal = {"status": "error", "response": self.broadcast_refusal}
            await self._send(socket, topic, "phx_reply", refusal, message["ref"])
        elif message["event"] in ("heartbeat", "broadcast", "presence"):
            await self._send(socket, topic, "phx_reply", done, message["ref"])
        async with self._changed:
            self.heard.append(message)
            self._changed.notify_all()

    async def _answer_join(self, socket: ServerConnection, message: Message) -> None:
        topic, ref = message["topic"], message["ref"]
        how, _, words = (self.joins.pop(0) if self.joins else "ok").partition(": ")
        if how == "refuse":
            refusal = {"status": "error", "response": {"reason": words or "Unknown Error on Channel"}}
            await self._send(socket, topic, "phx_reply", refusal, ref)
            return
        self.open_topics.add(topic)
        wanted = message["payload"]["config"]["postgres_changes"]
        response: Message = {"postgres_changes": [{**binding, "id": 7} for binding in wanted]}
        await self._send(socket, topic, "phx_reply", {"status": "ok", "response": response}, ref)
        if wanted and how != "joined only":
            await self._send(socket, topic, "system", confirmation("ok" if how == "ok" else "error", words))

    async def _send(
        self, socket: ServerConnection, topic: str, event: str, payload: Message, ref: str | None = None
    ) -> None:
        await socket.send(json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref}))


def confirmation(status: str = "ok", words: str = "") -> Message:
    text = "Subscribed to PostgreSQL" if status == "ok" else words or "database trouble"
    return {"channel": "jobs", "extension": "postgres_changes", "status": status, "message": text}


class Ear:
    """A listener that keeps what it hears, in order."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    async def next(self, timeout: float = 5) -> Any:  # noqa: ASYNC109 - silence is an answer here
        """The next thing heard; None after `timeout` seconds of silence."""
        try:
            async with asyncio.timeout(timeout):
                return await self.heard.get()
        except TimeoutError:
            return None

    def joined(self) -> None:
        self.heard.put_nowait("joined")

    def lost(self) -> None:
        self.heard.put_nowait("lost")

    def refused(self, error: FilaVivaError) -> None:
        self.heard.put_nowait(error)

    def renewed(self) -> None:
        """Not of interest."""

    def changed(self, change: Change) -> None:
        self.heard.put_nowait(change)


async def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something holds that nobody tells of; an error after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
async def phoenix() -> AsyncIterator[Phoenix]:
    server = Phoenix()
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def connected(
    phoenix: Phoenix, token: str | None = None, settings: RealtimeSettings = QUICK
) -> AsyncIterator[Connection]:
    connection = Connection(phoenix.url, "anon", token, settings=settings)
    try:
        yield connection
    finally:
        await connection.close()
