"""A subscription stays joined through everything a server and a network can do to it.

The far end is a script that speaks the Realtime protocol, so that each fault comes when a test wants it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from filaviva.channel import Notice, Subscription
from filaviva.connection import Connection
from filaviva.errors import FilaVivaError

# The official client reads an attribute that websockets deprecated; as an error, that ends its reading.
pytestmark = pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")

Message = dict[str, Any]
ROW = {"id": "1", "version": 1}


class Phoenix:
    """A Realtime server that answers every join as the next of `joins` says, and well after that."""

    def __init__(self) -> None:
        self.joins: list[str] = []
        self.heard: list[Message] = []
        self.sockets: list[ServerConnection] = []
        self.port = 0
        self._server: Server | None = None
        self._changed = asyncio.Condition()

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

    async def tell(self, event: str, payload: Message, to: int = -1) -> None:
        """Push to a channel, by the order of the joins."""
        await self._send(self.sockets[-1], self.said("phx_join")[to]["topic"], event, payload)

    async def change(self, kind: str = "UPDATE", errors: list[str] | None = None, to: int = -1, **row: Any) -> None:
        data = {"schema": "public", "table": "jobs", "type": kind, "errors": errors, "columns": [], **row}
        data["commit_timestamp"] = "2026-01-01T00:00:00.000Z"
        await self.tell("postgres_changes", {"ids": [7], "data": data}, to)

    async def _speak(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        async for text in socket:
            message = json.loads(text)
            if message["event"] == "phx_join":
                await self._answer_join(socket, message)
            elif message["event"] == "phx_leave":
                done = {"status": "ok", "response": {}}
                await self._send(socket, message["topic"], "phx_reply", done, message["ref"])
            async with self._changed:
                self.heard.append(message)
                self._changed.notify_all()

    async def _answer_join(self, socket: ServerConnection, message: Message) -> None:
        topic, ref = message["topic"], message["ref"]
        how = self.joins.pop(0) if self.joins else "ok"
        if how == "refuse":
            response: Message = {"reason": "Unknown Error on Channel"}
            await self._send(socket, topic, "phx_reply", {"status": "error", "response": response}, ref)
            return
        bindings = [{**binding, "id": 7} for binding in message["payload"]["config"]["postgres_changes"]]
        await self._send(socket, topic, "phx_reply", {"status": "ok", "response": {"postgres_changes": bindings}}, ref)
        if how != "joined only":
            await self._send(socket, topic, "system", confirmation("ok" if how == "ok" else "error"))

    async def _send(
        self, socket: ServerConnection, topic: str, event: str, payload: Message, ref: str | None = None
    ) -> None:
        await socket.send(json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref}))


def confirmation(status: str = "ok") -> Message:
    text = "Subscribed to PostgreSQL" if status == "ok" else "Unable to subscribe to changes with given parameters."
    return {"channel": "jobs", "extension": "postgres_changes", "status": status, "message": text}


@pytest.fixture
async def phoenix() -> AsyncIterator[Phoenix]:
    server = Phoenix()
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def connected(phoenix: Phoenix, token: str | None = None) -> AsyncIterator[Connection]:
    connection = Connection(f"http://127.0.0.1:{phoenix.port}", "anon", token)
    try:
        yield connection
    finally:
        await connection.close()


def jobs(connection: Connection, row_id: str = "1") -> Subscription:
    return Subscription(connection, "jobs", f"id=eq.{row_id}")


async def test_changes_flow_only_when_the_server_says_so(phoenix: Phoenix) -> None:
    phoenix.joins = ["joined only"]
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(0.2) is None
        await phoenix.tell("system", confirmation())
        assert await changes.next(5) is Notice.JOINED
        assert changes.is_live
        await phoenix.change(record=ROW)
        assert await changes.next(5) == ROW


async def test_a_subscription_names_its_rows_and_its_user(phoenix: Phoenix) -> None:
    async with connected(phoenix, "user-token") as connection, jobs(connection, "42") as changes:
        assert await changes.next(5) is Notice.JOINED
        payload = phoenix.said("phx_join")[0]["payload"]
        assert payload["access_token"] == "user-token"
        wanted = {"event": "*", "schema": "public", "table": "jobs", "filter": "id=eq.42"}
        assert payload["config"]["postgres_changes"] == [wanted]


async def test_a_second_confirmation_asks_for_a_read(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        await phoenix.tell("system", confirmation())
        assert await changes.next(5) is Notice.JOINED


@pytest.mark.parametrize("how", ["refuse", "system error"])
async def test_a_failed_join_is_tried_again_on_a_new_topic(phoenix: Phoenix, how: str) -> None:
    phoenix.joins = [how]
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        topics = [message["topic"] for message in phoenix.said("phx_join")]
        assert len(set(topics)) == len(topics) == 2


@pytest.mark.parametrize("event", ["phx_close", "phx_error"])
async def test_a_channel_that_the_server_ends_is_joined_again(phoenix: Phoenix, event: str) -> None:
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        await phoenix.tell(event, {})
        assert [await changes.next(5) for _ in range(2)] == [Notice.LOST, Notice.JOINED]
        await phoenix.change(record=ROW)
        assert await changes.next(5) == ROW
        assert len(phoenix.sockets) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_a_socket_that_the_server_closes_is_replaced(phoenix: Phoenix, code: int) -> None:
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        await phoenix.sockets[0].close(code)
        assert [await changes.next(5) for _ in range(2)] == [Notice.LOST, Notice.JOINED]


async def test_a_server_that_is_away_is_asked_until_it_is_back(phoenix: Phoenix) -> None:
    await phoenix.stop()
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(1.0) is None
        await phoenix.start()
        assert await changes.next(10) is Notice.JOINED


async def test_subscriptions_share_one_socket_and_do_not_meet(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, jobs(connection) as first:
        assert await first.next(5) is Notice.JOINED
        async with jobs(connection) as second:
            assert await second.next(5) is Notice.JOINED
            await phoenix.change(record={"for": "first"}, to=0)
            await phoenix.change(record={"for": "second"}, to=1)
            assert await second.next(5) == {"for": "second"}
            assert await first.next(5) == {"for": "first"}
    assert len(phoenix.sockets) == 1


async def test_leaving_frees_the_channel_and_keeps_the_socket(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection:
        async with jobs(connection) as changes:
            assert await changes.next(5) is Notice.JOINED
        await phoenix.until(lambda: phoenix.said("phx_leave"))
        assert phoenix.said("phx_leave")[0]["topic"] == phoenix.said("phx_join")[0]["topic"]
        assert not connection.subscriptions
        async with jobs(connection) as changes:
            assert await changes.next(5) is Notice.JOINED
        assert len(phoenix.sockets) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "DELETE", "old_record": {"id": "1"}},
        {"errors": ["Error 413: Payload Too Large"], "record": {"id": "1"}},
    ],
)
async def test_a_change_without_the_new_row_asks_for_a_read(phoenix: Phoenix, change: Message) -> None:
    async with connected(phoenix) as connection, jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        await phoenix.change(**change)
        assert await changes.next(5) is Notice.MISSED


async def test_a_reader_far_behind_is_told_to_read_instead(phoenix: Phoenix) -> None:
    async with connected(phoenix) as connection, jobs(connection) as slow:
        assert await slow.next(5) is Notice.JOINED
        async with jobs(connection) as quick:
            assert await quick.next(5) is Notice.JOINED
            for version in range(300):
                await phoenix.change(record={"version": version}, to=0)
            await phoenix.change(record=ROW, to=1)
            assert await quick.next(5) == ROW  # the socket is in order: everything before has arrived
        assert await slow.next(5) is Notice.MISSED
        rest = [await slow.next(5) for _ in range(44)]
        assert rest[-1] == {"version": 299}


async def test_a_new_token_reaches_joined_channels_and_later_joins(phoenix: Phoenix) -> None:
    async with connected(phoenix, "old") as connection, jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        await connection.set_token("new")
        await phoenix.until(lambda: phoenix.said("access_token"))
        assert phoenix.said("access_token")[0]["payload"] == {"access_token": "new"}
        await phoenix.sockets[0].close(1011)
        await phoenix.until(lambda: len(phoenix.said("phx_join")) == 2)
        assert phoenix.said("phx_join")[1]["payload"]["access_token"] == "new"


async def test_closing_the_connection_tells_whoever_waits(phoenix: Phoenix) -> None:
    connection = Connection(f"http://127.0.0.1:{phoenix.port}", "anon")
    async with jobs(connection) as changes:
        assert await changes.next(5) is Notice.JOINED
        waiting = asyncio.create_task(changes.next(30))
        await asyncio.sleep(0)
        await connection.close()
        assert await waiting is Notice.LOST
        with pytest.raises(FilaVivaError) as caught:
            await changes.next(30)
    assert caught.value.code == "client_closed"
    await phoenix.sockets[0].wait_closed()
