"""One websocket: frames in, frames out, and the channels its client has joined."""

import asyncio
import contextlib
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from devstack.realtime.channel import Channel, Services
from devstack.realtime.frames import Frame, Version, decode, encode
from devstack.realtime.join import JoinError, parse_join
from devstack.realtime.tokens import Identity, TokenError, read_token

_SILENCE_SECONDS = 60.0
_MOST_FRAME_BYTES = 5_000_000
_MOST_WAITING = 32 * 1024 * 1024  # characters not yet sent: a burst of some 10,000 rows fits
_CLOSE_SECONDS = 5.0

UNSUPPORTED_DATA, TOO_BIG, RESTARTING, TRY_LATER = 1003, 1009, 1012, 1013


class Socket:
    """Serves one client until either side ends it. What it sends waits in a bounded queue of its own."""

    def __init__(self, websocket: WebSocket, version: Version, identity: Identity, services: Services) -> None:
        """`identity` is the one of the API key, used by joins that bring no token."""
        self._websocket = websocket
        self._version = version
        self._identity = identity
        self._services = services
        self._channels: dict[str, Channel] = {}
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._waiting = 0
        self._end: asyncio.Future[tuple[int, str] | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Accept the connection and serve it to its end."""
        await self._websocket.accept()
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        ends: list[asyncio.Future[Any]] = [*tasks, self._end]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for channel in list(self._channels.values()):
                channel.drop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await self._say_goodbye()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def close(self, code: int, reason: str) -> None:
        """End the connection from our side; returns at once."""
        if not self._end.done():
            self._end.set_result((code, reason))

    async def _say_goodbye(self) -> None:
        if self._end.done() and (goodbye := self._end.result()):
            # a client that does not read does not take this either: then the connection just ends
            with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._websocket.close(*goodbye)

    def _send(self, frame: Frame) -> None:
        text = encode(frame, self._version)
        self._waiting += len(text)
        if self._waiting > _MOST_WAITING:
            self.close(TRY_LATER, "too much is waiting to be sent: the client reads too slowly")
        else:
            self._outgoing.put_nowait(text)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await self._outgoing.get()
                await self._websocket.send_text(text)
                self._waiting -= len(text)

    async def _read(self) -> None:
        try:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                self._take(message.get("text"))
        except TimeoutError:
            self.close(1000, f"no message for {_SILENCE_SECONDS:.0f} s")

    def _take(self, text: str | None) -> None:
        if text is None:
            self.close(UNSUPPORTED_DATA, "binary frames are not supported by devstack's Realtime")
        elif len(text) > _MOST_FRAME_BYTES:
            self.close(TOO_BIG, f"a frame may have {_MOST_FRAME_BYTES} bytes")
        elif frame := decode(text, self._version):
            self._dispatch(frame)

    def _dispatch(self, frame: Frame) -> None:
        channel = self._channels.get(frame.topic)
        if frame.topic == "phoenix":
            if frame.event == "heartbeat":
                self._send(frame.reply("ok", {}))
        elif frame.event == "phx_join" and frame.topic.startswith("realtime:"):
            self._join(frame)
        elif channel is None:
            unknown = frame.event != "phx_leave"
            self._send(frame.reply("error", {"reason": "unmatched topic"}) if unknown else frame.reply("ok", {}))
        elif frame.join_ref in (None, channel.join_ref):
            channel.handle(frame)

    def _join(self, frame: Frame) -> None:
        """Answer a join. One that repeats a topic ends the former, whose close comes after the reply."""
        former = self._channels.pop(frame.topic, None)
        channel = self._accept(frame)
        if former is not None:
            former.close()
        if channel is not None:
            self._channels[frame.topic] = channel
            channel.start()

    def _accept(self, frame: Frame) -> Channel | None:
        try:
            join = parse_join(frame.topic, frame.payload)
            identity = self._identity_of(join.token)
        except JoinError as error:
            self._send(frame.reply("error", {"reason": str(error)}))
            return None
        except TokenError as error:
            self._send(frame.reply("error", {"reason": f"{error.code}: {error}"}))
            return None
        join_ref = frame.join_ref or frame.ref
        self._send(frame.reply("ok", {"postgres_changes": join.echo()}))
        return Channel(frame.topic, join_ref, join, identity, self._services, self._send, self._forget)

    def _identity_of(self, token: str | None) -> Identity:
        if token is not None:
            return read_token(token, self._services.jwt_secret)
        self._identity.check_expiry()
        return self._identity

    def _forget(self, channel: Channel) -> None:
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]
