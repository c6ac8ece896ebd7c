"""One open websocket that speaks Phoenix, Realtime's protocol, in version 1.0.0.

It dies once, and says why: when either side closes it, when it breaks, or when the server leaves a heartbeat
unanswered. Opening another one is the connection's work.
"""

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from realtime.message import Message
from realtime.types import PHOENIX_CHANNEL, ChannelEvents
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from filaviva.errors import Unavailable, not_json
from filaviva.realtime.refusals import RefusedError, refused_handshake

logger = logging.getLogger(__name__)

# A row is cut at 1 MiB by the server, a broadcast at about 3 MB; both can be longer as JSON.
_MOST_FRAME_BYTES = 16 << 20
_OPEN_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_REPLY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of the server's."""

    topic: str
    event: str
    payload: Any
    ref: str | None


class Socket:
    """Sends frames, and hands those that arrive to whoever listens to their topic. Made by `open`."""

    def __init__(
        self, websocket: ClientConnection, heartbeat_seconds: float, on_latency: Callable[[float], None]
    ) -> None:
        self._websocket = websocket
        self._on_latency = on_latency
        self._refs = itertools.count(1)
        self._replies: dict[str, asyncio.Future[tuple[str, Any]]] = {}
        self._listeners: dict[str, Callable[[Frame], None]] = {}
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the socket is dead; its result says why."""
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat(heartbeat_seconds))]

    @classmethod
    async def open(cls, url: str, key: str, heartbeat_seconds: float, on_latency: Callable[[float], None]) -> Self:
        """Connect to the project's Realtime at `url`, such as ``https://<project>.supabase.co/realtime/v1``.

        Raises:
            FilaVivaError: the server refused, or did not answer.
        """
        scheme, _, place = url.partition("://")
        query = urlencode({"apikey": key, "vsn": "1.0.0"})
        address = f"{'wss' if scheme.lower() == 'https' else 'ws'}://{place}/websocket?{query}"
        try:
            websocket = await connect(
                address,
                open_timeout=_OPEN_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                max_size=_MOST_FRAME_BYTES,
                ping_interval=None,  # the heartbeats do its work
            )
        except InvalidStatus as error:
            raise refused_handshake(error) from error
        except Exception as error:
            reason = (str(error) or type(error).__name__).replace(query, "...")  # the key is nobody's to read
            raise Unavailable(f"Realtime did not answer: {reason}.", code="realtime_unavailable") from error
        return cls(websocket, heartbeat_seconds, on_latency)

    def new_ref(self) -> str:
        """A reference that no other frame of this socket has."""
        return str(next(self._refs))

    def listen(self, topic: str, take: Callable[[Frame], None]) -> None:
        """Hand every frame of `topic` to `take`, which must be quick."""
        self._listeners[topic] = take

    def forget(self, topic: str) -> None:
        """Hand out no more frames of `topic`."""
        self._listeners.pop(topic, None)

    async def request(
        self,
        topic: str,
        event: str,
        payload: Any,
        *,
        join_ref: str,
        ref: str | None = None,
        seconds: float = _REPLY_SECONDS,
    ) -> Any:
        """Send a frame and return the response of its reply.

        Raises:
            RefusedError: the reply is an error.
            Unavailable: no reply came in time, or the socket died.
        """
        ref = ref or self.new_ref()
        reply = self._expect(ref)
        try:
            async with asyncio.timeout(seconds):
                await self.push(topic, event, payload, join_ref=join_ref, ref=ref)
                status, response = await reply
        except TimeoutError:
            raise Unavailable(f"Realtime did not answer within {seconds:.0f} s.", code="realtime_no_reply") from None
        finally:
            self._replies.pop(ref, None)
        if status == "ok":
            return response
        if status == "lost":
            raise _lost_error(response)
        reason = response.get("reason") if isinstance(response, dict) else response
        raise RefusedError(str(reason or "no reason given"))

    async def push(
        self, topic: str, event: str, payload: Any, *, join_ref: str | None = None, ref: str | None = None
    ) -> None:
        """Send a frame to which no reply is awaited.

        Raises:
            Unavailable: the socket is dead.
            InvalidRequest: the payload is not JSON.
        """
        message = Message(topic=topic, event=event, payload=payload, ref=ref, join_ref=join_ref)
        try:
            text = message.model_dump_json()
        except ValueError as error:
            raise not_json("The message", error) from error
        try:
            await self._websocket.send(text)
        except ConnectionClosed as error:
            raise _lost_error(str(error)) from error

    async def close(self) -> None:
        """End the connection from this side and wait until it is gone."""
        self._end("closed by this client")
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._websocket.close()

    def _expect(self, ref: str) -> asyncio.Future[tuple[str, Any]]:
        reply: asyncio.Future[tuple[str, Any]] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            raise _lost_error(self.lost.result())
        self._replies[ref] = reply
        return reply

    async def _read(self) -> None:
        try:
            async for text in self._websocket:
                self._take(text)
        except ConnectionClosed as error:
            logger.debug("The socket broke: %s", error)
        finally:
            code = self._websocket.close_code
            self._end(f"the connection ended with code {code}: {self._websocket.close_reason or 'no reason given'}")

    def _take(self, text: str | bytes) -> None:
        try:
            message = json.loads(text)
            frame = Frame(message["topic"], message["event"], message.get("payload"), message.get("ref"))
            self._dispatch(frame)
        except Exception:  # a fault of one listener must not end the reading for all
            logger.exception("A message of the server could not be handled")

    def _dispatch(self, frame: Frame) -> None:
        if frame.event == ChannelEvents.reply:
            reply = self._replies.pop(frame.ref or "", None)
            if reply is not None and not reply.done():
                reply.set_result((frame.payload["status"], frame.payload.get("response")))
        elif take := self._listeners.get(frame.topic):
            take(frame)

    async def _beat(self, every: float) -> None:
        loop = asyncio.get_running_loop()
        while not self.lost.done():
            began = loop.time()
            if not await self._is_answered(every):
                if not self.lost.done():
                    self._end("the server left a heartbeat unanswered")
                    self._websocket.transport.abort()
                return
            self._on_latency(loop.time() - began)
            await asyncio.sleep(every - (loop.time() - began))

    async def _is_answered(self, within: float) -> bool:
        ref = self.new_ref()
        with contextlib.suppress(TimeoutError, Unavailable):
            reply = self._expect(ref)
            async with asyncio.timeout(within):
                await self.push(PHOENIX_CHANNEL, ChannelEvents.heartbeat, {}, ref=ref)
            # Two looks: if the application kept the loop busy during the first, the answer is there at the second.
            for share in (0.7, 0.2):
                await asyncio.wait({reply}, timeout=share * within)
            self._replies.pop(ref, None)
            return reply.done() and reply.result()[0] == "ok"
        return False

    def _end(self, reason: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(reason)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_result(("lost", reason))


def _lost_error(reason: str) -> Unavailable:
    return Unavailable(f"The connection to Realtime is lost: {reason}.", code="realtime_unavailable")
