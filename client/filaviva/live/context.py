"""What all live views of one client share: its connection, its reads, and who is open."""

import asyncio
from typing import Protocol

from filaviva.errors import client_closed
from filaviva.live.private_channel import Rooms
from filaviva.live.reads import Reads
from filaviva.realtime.connection import Connection
from filaviva.realtime.feed import Feeds
from filaviva.realtime.settings import RealtimeSettings
from filaviva.rpc import Rpc


class Closable(Protocol):
    """A view, as far as the context is concerned."""

    async def close(self) -> None:
        """Leave everything."""


class LiveContext:
    """Handed to every view.

    Attributes:
        rpc: calls of the database, as the signed-in user.
        connection: the socket; its `meter` counts how it does.
        feeds: changes of rows, shared between views.
        rooms: private topics, shared between views.
        reads: reads of rows, joined together when many views ask at once.
        is_closed: whether the client was closed.
    """

    def __init__(self, rpc: Rpc, connection: Connection) -> None:
        self.rpc = rpc
        self.connection = connection
        self.feeds = Feeds(connection)
        self.rooms = Rooms(connection)
        self.reads = Reads(rpc)
        self.is_closed = False
        self._open: dict[Closable, None] = {}

    @property
    def settings(self) -> RealtimeSettings:
        """The times that views keep to."""
        return self.connection.settings

    @property
    def user_id(self) -> str | None:
        """Whose token the client carries; None with the key alone."""
        return self.connection.user_id

    def opened(self, view: Closable) -> None:
        """Close `view` with the client.

        Raises:
            FilaVivaError: `client_closed`.
        """
        if self.is_closed:
            raise client_closed()
        self._open[view] = None

    def closed(self, view: Closable) -> None:
        """The view is closed."""
        self._open.pop(view, None)

    async def close(self) -> None:
        """Close every view and the connection, for good."""
        self.is_closed = True
        await asyncio.gather(*(view.close() for view in list(self._open)))
        await self.connection.close()
