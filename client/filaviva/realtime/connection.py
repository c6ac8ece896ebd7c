"""A client's one socket to Realtime: opened when first needed, opened again whenever it is lost, for ever.

Channels hold the connection while they live. The socket is opened for the first of them and closed a while after
the last has gone. When it is lost, attempts follow after 1, 2, 4, 8 and 16 seconds, then about every 30 s; views poll
meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from filaviva.backoff import Backoff
from filaviva.credentials import check_key, check_token, read_claims
from filaviva.errors import FilaVivaError, Unavailable, client_closed
from filaviva.realtime.metrics import Meter
from filaviva.realtime.pace import Pace, rejoin_delay
from filaviva.realtime.settings import RealtimeSettings
from filaviva.realtime.socket import Socket

if TYPE_CHECKING:
    from filaviva.realtime.channel import Channel

logger = logging.getLogger(__name__)


class Connection:
    """Keeps a socket open while channels need one.

    Args:
        url: the project's URL.
        key: its anon, publishable or service key.
        token: the user's access token; without it the key alone speaks.
        renew_token: asks for another token when the server no longer accepts this one, and says whether one may come;
            must be quick.
    """

    def __init__(
        self,
        url: str,
        key: str,
        token: str | None = None,
        *,
        settings: RealtimeSettings | None = None,
        renew_token: Callable[[], bool] | None = None,
    ) -> None:
        check_key(key)
        check_token(token)
        self._url = f"{url.rstrip('/')}/realtime/v1"
        self._key = key
        self.token = token
        self.settings = settings or RealtimeSettings()
        self.renew_token = renew_token or (lambda: False)
        self.meter = Meter()
        self._channels: set[Channel] = set()
        self._socket: Socket | None = None
        self._opened = asyncio.Event()
        self._token_changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._resting: set[asyncio.Task[None]] = set()
        self._linger: asyncio.TimerHandle | None = None
        self._pace = Pace(self.settings.joins_per_second)
        self._closed = False

    @property
    def is_connected(self) -> bool:
        """Whether there is a socket now."""
        return self._socket is not None

    @property
    def speaks_with(self) -> str:
        """The token that a join carries: the user's, or the key."""
        return self.token or self._key

    @property
    def user_id(self) -> str | None:
        """The user whose token it is; None with the key alone."""
        subject = read_claims(self.token).get("sub") if self.token else None
        return subject if isinstance(subject, str) else None

    def hold(self, channel: "Channel") -> None:
        """Keep a socket for `channel` until `release`."""
        if self._closed:
            raise client_closed()
        self._channels.add(channel)
        self._stop_lingering()
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_open())

    def release(self, channel: "Channel") -> None:
        """The channel needs the socket no more."""
        self._channels.discard(channel)
        if not self._channels and not self._closed:
            self._stop_lingering()
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(self.settings.linger_seconds, self._rest)

    async def socket(self) -> Socket:
        """The socket; waits as long as there is none."""
        while self._socket is None:
            await self._opened.wait()
        return self._socket

    async def join_turn(self, *, again: bool) -> None:
        """Wait until a channel may join; `again`: it was joined on a socket that was lost."""
        if again:
            await asyncio.sleep(rejoin_delay(self.settings.rejoin_spread_seconds, len(self._channels)))
        await self._pace.turn()

    async def set_token(self, token: str | None) -> None:
        """Let joined channels and future ones speak with `token`; None means with the key alone.

        Raises:
            InvalidRequest: it cannot be a token; the former one stays.
        """
        check_token(token)
        if token == self.token:
            return
        self.token = token
        self._token_changed.set()
        self._token_changed = asyncio.Event()
        await asyncio.gather(*(channel.speak_with(self.speaks_with) for channel in list(self._channels)))

    async def token_other_than(self, spoken: str) -> None:
        """Wait until joins carry another token than `spoken`."""
        while self.speaks_with == spoken:
            await self._token_changed.wait()

    async def close(self) -> None:
        """End every channel and close the socket, for good."""
        self._closed = True
        await asyncio.gather(*(channel.close() for channel in list(self._channels)))
        self._stop_lingering()
        self._rest()
        if self._resting:
            await asyncio.wait(self._resting)

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _rest(self) -> None:
        """Close the socket until it is needed again."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            self._resting.add(keeper)
            keeper.add_done_callback(self._resting.discard)

    async def _keep_open(self) -> None:
        backoff = Backoff(self.settings.first_pause_seconds, self.settings.last_pause_seconds)
        was_lost = False
        while True:
            try:
                reason = await self._stay_open(backoff, again=was_lost)
                was_lost = True
            except FilaVivaError as error:
                self.meter.attempted(succeeded=False)
                self._tell(error)
                reason = str(error)
            except Exception as fault:  # of ours: without this every view would poll for ever
                logger.exception("The live connection failed")
                reason = str(fault)
            pause = backoff.next()
            logger.info("No live connection (%s); next attempt in %.1f s", reason, pause)
            await asyncio.sleep(pause)

    async def _stay_open(self, backoff: Backoff, *, again: bool) -> str:
        """Open a socket, lend it out while it lives, and return why it died."""

        def answered(seconds: float) -> None:
            backoff.reset()
            self.meter.answered(seconds)

        socket = await Socket.open(self._url, self._key, self.settings.heartbeat_seconds, answered)
        self._socket = socket
        self._opened.set()
        self.meter.socket_opened(again=again)
        self.meter.active_connections += 1
        try:
            return await asyncio.shield(socket.lost)
        finally:
            self._socket = None
            self._opened.clear()
            self.meter.active_connections -= 1
            await socket.close()

    def _tell(self, error: FilaVivaError) -> None:
        if not isinstance(error, Unavailable):
            for channel in list(self._channels):
                channel.member.refused(error)
