"""One Realtime socket, shared by every subscription of a client.

The official client gives up for good after five failed attempts to reconnect, without telling
anyone. So its own reconnecting is switched off: a socket that died is dropped with its client, and
a new one is opened for whoever asks next, for ever, with growing pauses.
"""

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

from realtime import AsyncRealtimeChannel, AsyncRealtimeClient, ChannelEvents

from filaviva.backoff import Backoff
from filaviva.credentials import check_key, check_token
from filaviva.errors import client_closed

if TYPE_CHECKING:
    from filaviva.channel import Subscription

logger = logging.getLogger(__name__)


class Connection:
    """Opens the socket when the first subscription needs it, and keeps it until `close`.

    Args:
        url: the project's URL.
        key: its anon, publishable or service key.
        token: the user's access token; without it the key alone speaks.
    """

    def __init__(self, url: str, key: str, token: str | None = None) -> None:
        check_key(key)
        check_token(token)
        self._url = f"{url.rstrip('/')}/realtime/v1"
        self._key = key
        self._token = token
        self._client: AsyncRealtimeClient | None = None
        self._lock = asyncio.Lock()
        self._backoff = Backoff()
        self._numbers = itertools.count(1)
        self._closed = False
        self.subscriptions: set[Subscription] = set()
        """Whoever listens through this socket now; each adds and removes itself."""

    async def channel(self, name: str) -> AsyncRealtimeChannel:
        """A new channel on a socket that is open now; waits as long as none can be had.

        Every channel has a topic of its own: joining a topic twice on one socket ends the first.
        """
        async with self._lock:
            if self._closed:
                raise client_closed()
            while self._client is None or not self._client.is_connected:
                await self._drop()
                await self._try_to_open()
            return self._client.channel(f"filaviva:{name}:{next(self._numbers)}")

    async def set_token(self, token: str | None) -> None:
        """Let joined channels and future ones speak with `token`; None means with the key alone.

        Raises:
            InvalidRequest: it cannot be a token; the former one stays.
        """
        check_token(token)
        self._token = token
        if self._client is None:
            return
        # Not the client's own set_auth: it walks over its channels while awaiting, and breaks when
        # one comes or goes meanwhile.
        self._client.access_token = token or self._key
        for channel in self._client.get_channels():
            if channel.is_joined:
                await channel.push(ChannelEvents.access_token, {"access_token": token or self._key})

    async def close(self) -> None:
        """End every subscription and close the socket, for good."""
        self._closed = True
        for subscription in list(self.subscriptions):
            await subscription.close()
        async with self._lock:
            await self._drop()

    async def _try_to_open(self) -> None:
        client = AsyncRealtimeClient(self._url, token=self._key, auto_reconnect=False, max_retries=1)
        client.access_token = self._token or self._key
        self._client = client
        try:
            await client.connect()
        except Exception as error:
            pause = self._backoff.next()
            logger.info("No socket (%s); next attempt in %.1f s", describe(error), pause)
            await asyncio.sleep(pause)
        else:
            self._backoff.reset()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            for channel in client.get_channels():
                _stop_timers(channel)
            await client.close()


def describe(error: BaseException) -> str:
    """An error in a few words for the log."""
    return str(error) or type(error).__name__


def _stop_timers(channel: AsyncRealtimeChannel) -> None:
    """End what the official client would leave ticking for up to 10 s."""
    channel.rejoin_timer.reset()
    for push in (channel.join_push, *channel.messages_waiting_for_ack.values()):
        push.destroy()
