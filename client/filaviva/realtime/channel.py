"""One topic that stays joined: through lost sockets, refusals, crashes of the server and expired tokens.

What is tried again, and when:

* a lost socket: as soon as the connection has another one, spread over the settings' `rejoin_spread_seconds`;
* a channel that the server ended, or a join that it could not serve: after 1 s, doubling to 30 s, with jitter;
* a join refused for a limit: after about 30 s;
* a join refused for good (no right, a bad filter, a token that is not accepted): with the next token, on the next
  socket, or after five minutes, and the member is told at once.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from realtime.types import ChannelEvents

from filaviva.backoff import Backoff, jittered
from filaviva.errors import FilaVivaError, NotSignedIn, RateLimited, Unavailable
from filaviva.realtime.connection import Connection
from filaviva.realtime.refusals import RefusedError, is_worth_repeating, refusal
from filaviva.realtime.socket import Frame, Socket

logger = logging.getLogger(__name__)

# The server may have to open its replication slot before it confirms.
_CONFIRM_SECONDS = 20.0
_LEAVE_SECONDS = 1.0
_LIMIT_SECONDS = 30.0
_REFUSED_SECONDS = 300.0


class Member(Protocol):
    """Whom a channel serves. None of these may wait."""

    def joined(self) -> None:
        """From now on everything arrives; what was before was not seen. May come again without `lost` between."""

    def lost(self) -> None:
        """Nothing arrives until the next `joined`."""

    def refused(self, error: FilaVivaError) -> None:
        """The server refused, and will as long as nothing changes."""

    def renewed(self) -> None:
        """The token is another one now."""

    def heard(self, event: str, payload: Any) -> None:
        """A message of the channel."""


class Channel:
    """Keeps a topic joined while it is open.

    Args:
        name: gives the topic for each join, without ``realtime:``.
        config: the join's `config`, called for each join. With `postgres_changes` in it, the channel counts as
            joined only when the server has confirmed that changes flow.
    """

    def __init__(
        self, connection: Connection, name: Callable[[], str], config: Callable[[], Mapping[str, Any]], member: Member
    ) -> None:
        self._connection = connection
        self._name = name
        self._config = config
        self.member = member
        self._backoff = Backoff(connection.settings.first_pause_seconds, connection.settings.last_pause_seconds)
        self._task: asyncio.Task[None] | None = None
        self._socket: Socket | None = None
        self._topic = ""
        self._join_ref = ""
        self._spoken = ""
        self._reason: str | None = None
        self._ended: asyncio.Future[FilaVivaError] | None = None
        self._confirmed = asyncio.Event()
        self._joined_at = 0.0
        self.is_joined = False
        """Whether messages arrive now."""

    def open(self) -> None:
        """Join in the background, and stay joined until `close`."""
        self._connection.hold(self)
        self._task = asyncio.create_task(self._keep_joined())

    async def close(self) -> None:
        """Leave."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            try:
                await asyncio.wait({task})
            finally:  # also when nobody waits any more
                self._connection.release(self)

    async def push(self, event: str, payload: Mapping[str, Any]) -> None:
        """Send a message to which no reply is awaited.

        Raises:
            Unavailable: the channel is not joined.
        """
        await self._joined_socket().push(self._topic, event, payload, join_ref=self._join_ref)

    async def request(self, event: str, payload: Mapping[str, Any]) -> Any:
        """Send a message and return the response of its reply.

        Raises:
            FilaVivaError: the channel is not joined, no reply came, or it was an error.
        """
        try:
            return await self._joined_socket().request(self._topic, event, payload, join_ref=self._join_ref)
        except RefusedError as error:
            raise refusal(str(error)) from error

    async def speak_with(self, token: str) -> None:
        """Tell the server that the channel goes on with `token`."""
        self.member.renewed()
        if self._socket is None:
            return
        self._spoken = token
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._socket.push(
                    self._topic, ChannelEvents.access_token, {"access_token": token}, join_ref=self._join_ref
                )
        except (Unavailable, TimeoutError) as error:
            logger.debug("The token did not reach %s: %s", self._topic, error)

    def _joined_socket(self) -> Socket:
        if self._socket is None or not self.is_joined:
            raise Unavailable("The channel is not joined now.", code="not_joined")
        return self._socket

    async def _keep_joined(self) -> None:
        was_cut = False
        while True:
            socket = await self._connection.socket()
            await self._connection.join_turn(again=was_cut)
            if socket.lost.done():
                continue
            error = await self._lose(socket)
            logger.info("Channel %s is not joined: %s", self._topic, error)
            was_cut = socket.lost.done()
            if not was_cut or isinstance(error, RateLimited):  # the limit holds for the next socket too
                await self._pause(error, socket)

    async def _lose(self, socket: Socket) -> FilaVivaError:
        """Join, stay, and return why that is over."""
        try:
            return await self._stay_joined(socket)
        except FilaVivaError as refused:
            self._connection.meter.attempted(succeeded=False)
            return refused
        except Exception as fault:  # of ours: without this the channel would be silent for ever
            logger.exception("The channel %s failed", self._topic)
            return refusal(str(fault))

    async def _pause(self, error: FilaVivaError, socket: Socket) -> None:
        """Wait until it makes sense to join again."""
        if isinstance(error, RateLimited):
            self.member.refused(error)
            await asyncio.sleep(jittered(_LIMIT_SECONDS))
        elif is_worth_repeating(error):
            await asyncio.sleep(self._backoff.next())
        else:
            another_may_come = isinstance(error, NotSignedIn) and self._connection.renew_token()
            if self._connection.speaks_with == self._spoken and not another_may_come:
                self.member.refused(error)
            another = asyncio.create_task(self._connection.token_other_than(self._spoken))
            try:
                wanted: set[asyncio.Future[Any]] = {another, socket.lost}
                await asyncio.wait(wanted, timeout=_REFUSED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            finally:
                another.cancel()

    async def _stay_joined(self, socket: Socket) -> FilaVivaError:
        """Join, and return why the channel was lost."""
        self._topic = f"realtime:{self._name()}"
        self._join_ref, self._spoken, self._reason = socket.new_ref(), self._connection.speaks_with, None
        self._ended = asyncio.get_running_loop().create_future()
        self._confirmed.clear()
        socket.listen(self._topic, self._take)
        try:
            await self._join(socket)
            return await self._end_of(socket, self._ended)
        finally:
            self._socket = None
            if self.is_joined:
                self._note_lasted()
                self.is_joined = False
                self._connection.meter.active_channels -= 1
                self.member.lost()
            socket.forget(self._topic)
            await self._leave(socket)

    async def _join(self, socket: Socket) -> None:
        config = self._config()
        payload = {"config": config, "access_token": self._spoken}
        try:
            await socket.request(self._topic, ChannelEvents.join, payload, join_ref=self._join_ref, ref=self._join_ref)
        except RefusedError as error:
            raise refusal(str(error)) from error
        self._socket = socket
        if self._spoken != self._connection.speaks_with:  # it changed while the join was on its way
            await self.speak_with(self._connection.speaks_with)
        if not config.get("postgres_changes"):
            self._note_joined()
            return
        await self._wait_for_changes(socket)

    async def _wait_for_changes(self, socket: Socket) -> None:
        """Wait for the confirmation, or for an end, which `_stay_joined` looks at."""
        confirmed = asyncio.create_task(self._confirmed.wait())
        try:
            wanted: set[asyncio.Future[Any]] = {confirmed, socket.lost}
            wanted |= {self._ended} if self._ended else set()
            done, _ = await asyncio.wait(wanted, timeout=_CONFIRM_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            confirmed.cancel()
        if not done:
            raise refusal("the server did not confirm the subscription")

    async def _end_of(self, socket: Socket, ended: asyncio.Future[FilaVivaError]) -> FilaVivaError:
        wanted: set[asyncio.Future[Any]] = {ended, socket.lost}
        await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else refusal(socket.lost.result())

    async def _leave(self, socket: Socket) -> None:
        """Tell the server that the channel is not needed; a dead socket takes its channels with it."""
        if socket.lost.done():
            return
        try:
            await socket.request(self._topic, ChannelEvents.leave, {}, join_ref=self._join_ref, seconds=_LEAVE_SECONDS)
        except (FilaVivaError, RefusedError) as error:
            logger.debug("Leaving %s: %s", self._topic, error)

    def _take(self, frame: Frame) -> None:
        if frame.event == ChannelEvents.system:
            self._take_system(frame.payload)
        elif frame.event in (ChannelEvents.close, ChannelEvents.error):
            if frame.ref in (None, self._join_ref):
                self._end(self._reason or f"the server ended the channel ({frame.event})")
        else:
            self.member.heard(frame.event, frame.payload)

    def _take_system(self, payload: Mapping[str, Any]) -> None:
        is_about_changes = payload.get("extension") == "postgres_changes"
        if payload.get("status") != "ok":
            self._reason = str(payload.get("message"))
            if is_about_changes:  # the channel stays without its changes: of no use
                self._end(self._reason)
        elif is_about_changes:
            # The join's reply comes earlier than the changes: only this message says that they flow.
            # It comes again when the server subscribed anew, after which changes may be missing.
            self._confirmed.set()
            self._note_joined()

    def _note_joined(self) -> None:
        if not self.is_joined:
            self.is_joined, self._joined_at = True, asyncio.get_running_loop().time()
            self._connection.meter.active_channels += 1
            self._connection.meter.attempted(succeeded=True)
        self.member.joined()

    def _note_lasted(self) -> None:
        """A channel that lasted begins with short pauses again; one that the server ends at once does not."""
        if asyncio.get_running_loop().time() - self._joined_at >= self._connection.settings.last_pause_seconds:
            self._backoff.reset()

    def _end(self, reason: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(refusal(reason))
