"""One subscription to the changes of a table's rows, which keeps itself joined.

It owns a task that joins a channel, waits until the server says that changes flow, stays until the
channel is lost for whatever reason, leaves it and joins a new one. What happens is put into a
queue, so that a slow reader delays nobody else on the socket.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import Any, ParamSpec, Self

from realtime import (
    AsyncRealtimeChannel,
    PostgresChangesPayload,
    RealtimePostgresChangesListenEvent,
    RealtimeSubscribeStates,
    SuccessSystemPayload,
)

from filaviva.backoff import Backoff
from filaviva.connection import Connection, describe
from filaviva.errors import client_closed

logger = logging.getLogger(__name__)

Record = dict[str, Any]
P = ParamSpec("P")

# The server may have to open its replication slot before it confirms.
_CONFIRM_SECONDS = 20.0
_LEAVE_SECONDS = 1.0
# Above this the reader is far behind, and one read is cheaper than working off the rest.
_QUEUE_LENGTH = 256


class Notice(Enum):
    """What a subscription says besides the records themselves."""

    JOINED = auto()
    """From now on every change arrives; what was before was not seen: read."""
    MISSED = auto()
    """A change arrived that does not hold the new row, or was dropped: read."""
    LOST = auto()
    """Changes do not arrive until the next JOINED: poll."""
    CLOSED = auto()
    """The client was closed; nothing follows."""


class Subscription:
    """The changes of the rows of `public.<table>` that fit `row_filter`, such as ``id=eq.<uuid>``.

    An async context manager: it joins in the background when entered, and leaves its channel when
    left. RLS decides which rows arrive.
    """

    def __init__(self, connection: Connection, table: str, row_filter: str) -> None:
        self._connection = connection
        self._table = table
        self._filter = row_filter
        self._news: asyncio.Queue[Record | Notice] = asyncio.Queue(_QUEUE_LENGTH)
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None
        self.is_live = False
        """True while the server sends changes."""

    async def __aenter__(self) -> Self:
        self._connection.subscriptions.add(self)
        self._task = asyncio.create_task(self._keep_joined())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the channel; whoever waits in `next` is told that the client is closed."""
        self._connection.subscriptions.discard(self)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._put(Notice.CLOSED)

    async def next(self, timeout: float) -> Record | Notice | None:  # noqa: ASYNC109 - silence is an answer here
        """The next record (the new row of an insert or update) or notice; None after `timeout` seconds of silence."""
        try:
            async with asyncio.timeout(timeout):
                news = await self._news.get()
        except TimeoutError:
            return None
        if news is Notice.CLOSED:
            raise client_closed()
        return news

    async def _keep_joined(self) -> None:
        while True:
            try:
                reason = await self._stay_joined()
            except Exception as error:
                reason = describe(error)
            pause = self._backoff.next()
            logger.info("No live changes of %s (%s); joining again in %.1f s", self._table, reason, pause)
            await asyncio.sleep(pause)

    async def _stay_joined(self) -> str:
        """Join, and return why the channel was lost."""
        channel = await self._connection.channel(self._table)
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        channel.on_postgres_changes(
            RealtimePostgresChangesListenEvent.All,
            _never_raise(self._on_change),
            table=self._table,
            schema="public",
            filter=self._filter,
        )
        channel.on_system(_never_raise(functools.partial(self._on_system, channel)))
        try:
            await channel.subscribe(functools.partial(_note_loss, lost))
            await asyncio.wait({lost}, timeout=_CONFIRM_SECONDS)
            if not lost.done() and not self.is_live:
                return "the server did not confirm the subscription"
            return await lost
        finally:
            if self.is_live:
                self.is_live = False
                self._put(Notice.LOST)
            await _leave(channel)

    def _on_system(self, channel: AsyncRealtimeChannel, payload: SuccessSystemPayload) -> None:
        # The join's reply comes earlier than the changes: only this message says that they flow.
        # It comes again when the server subscribed anew, after which changes may be missing.
        if payload.extension == "postgres_changes" and channel.is_joined:
            self.is_live = True
            self._backoff.reset()
            self._put(Notice.JOINED)

    def _on_change(self, payload: PostgresChangesPayload) -> None:
        data = payload["data"]
        record = data.get("record")
        # A delete has no record; a row that was too large arrives cut, with an error.
        self._put(record if record and not data["errors"] else Notice.MISSED)

    def _put(self, news: Record | Notice) -> None:
        if self._news.full():
            while not self._news.empty():
                self._news.get_nowait()
            self._news.put_nowait(Notice.MISSED)
        self._news.put_nowait(news)


def _note_loss(lost: asyncio.Future[str], state: RealtimeSubscribeStates, error: Exception | None) -> None:
    if state is not RealtimeSubscribeStates.SUBSCRIBED and not lost.done():
        lost.set_result(f"{state.value}: {describe(error)}" if error else state.value)


def _never_raise(callback: Callable[P, None]) -> Callable[P, None]:
    """An exception in a callback would end the official client's reading of the socket, in silence."""

    def shielded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception:
            logger.exception("A message of the server could not be handled")

    return shielded


async def _leave(channel: AsyncRealtimeChannel) -> None:
    """Tell the server that the channel is not needed; a dead socket takes its channels with it."""
    if not channel.socket.is_connected:
        return
    try:
        async with asyncio.timeout(_LEAVE_SECONDS):
            await channel.unsubscribe()
    except Exception as error:
        logger.debug("Leaving %s: %s", channel.topic, describe(error))
