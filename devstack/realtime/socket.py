"""One websocket: frames in, frames out, and the channels its client has joined."""

import asyncio
import contextlib
import logging
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from devstack.realtime.channel import Channel
from devstack.realtime.frames import Frame, Version, decode, encode
from devstack.realtime.join import JoinError, parse_join
from devstack.realtime.policies import AccessError, own_headers
from devstack.realtime.replay import ReplayError
from devstack.realtime.services import Services
from devstack.realtime.tokens import Identity, TokenError, read_token
from devstack.tasks import end

_log = logging.getLogger(__name__)

_SILENCE_SECONDS = 60.0
_MOST_FRAME_BYTES = 5_000_000
_CLOSE_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0
_LAST = b""  # what marks the end of the queue when the server goes down; no frame is empty

GOING_AWAY, TOO_BIG, RESTARTING, TRY_LATER = 1001, 1009, 1012, 1013
_RESTART = RESTARTING, "the server is stopping"


class Socket:
    """Serves one client until either side ends it. What it sends waits in a bounded queue of its own."""

    def __init__(self, websocket: WebSocket, version: Version, identity: Identity, services: Services) -> None:
        """`identity` is the one of the API key, used by joins that bring no token."""
        self._websocket = websocket
        self._version = version
        self._identity = identity
        self._services = services
        self._headers = own_headers(websocket.headers)
        self._channels: dict[str, Channel] = {}
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.waiting = 0
        self._is_mute = False
        self._end: asyncio.Future[tuple[int, str] | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Accept the connection and serve it to its end."""
        await self._websocket.accept()
        self._services.outgoing.senders.add(self)
        try:
            await self._serve()
        finally:
            self._mute()
            self._services.outgoing.senders.remove(self)

    async def _serve(self) -> None:
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        ends: list[asyncio.Future[Any]] = [*tasks, self._end]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            try:
                await asyncio.gather(*map(end, tasks))  # first, as a join may be under way
            finally:
                for channel in list(self._channels.values()):
                    channel.drop()
        await self._say_goodbye()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    def close(self, code: int, reason: str) -> None:
        """End the connection from our side; returns at once."""
        if not self._end.done():
            self._end.set_result((code, reason))

    def restart(self) -> None:
        """End the connection as a server does that goes down, telling each channel before; returns at once."""
        for channel in list(self._channels.values()):
            channel.disconnected()
        self._outgoing.put_nowait(_LAST)
        # a client that does not read must not hold up the stop
        asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self.close, *_RESTART)

    def give_up(self) -> None:
        """End the connection of a client that reads too slowly."""
        self._mute()
        self.close(TRY_LATER, "too much is waiting to be sent: the client reads too slowly")

    def _mute(self) -> None:
        self._is_mute = True
        while not self._outgoing.empty():
            self._services.outgoing.shrank(self, len(self._outgoing.get_nowait()))

    async def _say_goodbye(self) -> None:
        if self._end.done() and (goodbye := self._end.result()):
            # a client that does not read does not take this either: then the connection just ends
            with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._websocket.close(*goodbye)

    def _send(self, frame: Frame) -> None:
        data = None if self._is_mute else encode(frame, self._version)
        if data is not None:
            self._outgoing.put_nowait(data)
            self._services.outgoing.grew(self, len(data))

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                data = await self._outgoing.get()
                if not data:
                    self.close(*_RESTART)
                self._services.outgoing.shrank(self, len(data))
                if isinstance(data, str):
                    await self._websocket.send_text(data)
                elif data:
                    await self._websocket.send_bytes(data)

    async def _read(self) -> None:
        try:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._take(message.get("text") or message.get("bytes") or "")
        except TimeoutError:
            self.close(1000, f"no message for {_SILENCE_SECONDS:.0f} s")

    async def _take(self, data: str | bytes) -> None:
        if len(data) > _MOST_FRAME_BYTES:
            self.close(TOO_BIG, f"a frame may have {_MOST_FRAME_BYTES} bytes")
        elif frame := decode(data, self._version):
            try:
                await self._dispatch(frame)
            except Exception:
                _log.exception("a frame %s for %s could not be handled", frame.event, frame.topic)
                self._crash(frame)

    def _crash(self, frame: Frame) -> None:
        """A fault of ours costs the channel, which its client joins again, and not the socket."""
        channel = self._channels.get(frame.topic)
        if frame.event == "phx_join":
            self._send(frame.reply("error", {"reason": "Unknown Error on Channel"}))
        elif channel is not None:
            channel.drop()
            self._send(Frame(frame.topic, "phx_error", {}, channel.join_ref, channel.join_ref))

    async def _dispatch(self, frame: Frame) -> None:
        channel = self._channels.get(frame.topic)
        if frame.topic == "phoenix":
            if frame.event == "heartbeat":
                self._send(frame.reply("ok", {}))
        elif frame.event == "phx_join" and frame.topic.startswith("realtime:"):
            await self._join(frame)
        elif channel is None:
            unknown = frame.event != "phx_leave"
            self._send(frame.reply("error", {"reason": "unmatched topic"}) if unknown else frame.reply("ok", {}))
        elif frame.join_ref in (None, channel.join_ref):
            await channel.handle(frame)

    async def _join(self, frame: Frame) -> None:
        """Answer a join. One that repeats a topic ends the former, whose close comes after the reply."""
        channel = await self._accept(frame)
        former = self._channels.get(frame.topic)
        if former is not None:
            former.close()
        if channel is not None:
            self._channels[frame.topic] = channel
            channel.start()

    async def _accept(self, frame: Frame) -> Channel | None:
        try:
            self._check_limits(frame.topic)
            join = parse_join(frame.topic, frame.payload)
            identity, join_ref = self._identity_of(join.token), frame.join_ref or frame.ref
            channel = Channel(
                frame.topic, join_ref, join, identity, self._headers, self._services, self._send, self._forget
            )
            await channel.prepare()
        except JoinError as error:
            reason = str(error)
        except (TokenError, AccessError) as error:
            reason = f"{error.code}: {error}"
        except ReplayError as error:
            _log.warning("messages could not be replayed: %s", error)
            reason = "UnableToReplayMessages: Realtime was unable to replay messages"
        else:
            self._send(frame.reply("ok", {"postgres_changes": join.echo()}))
            return channel
        self._send(frame.reply("error", {"reason": reason}))
        return None

    def _check_limits(self, topic: str) -> None:
        most = self._services.limits.channels
        if most is not None and topic not in self._channels and len(self._channels) >= most:
            raise JoinError("ChannelRateLimitReached: Too many channels")
        if not self._services.rates.joins.allows_another():
            self.close(GOING_AWAY, "too many joins per second")
            raise JoinError("ClientJoinRateLimitReached: Too many joins per second")

    def _identity_of(self, token: str | None) -> Identity:
        if token is not None:
            return read_token(token, self._services.jwt_secret)
        self._identity.check_expiry()
        return self._identity

    def _forget(self, channel: Channel) -> None:
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]
