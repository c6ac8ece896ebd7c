"""One joined topic of one socket: its token, its subscription, its place in the topic, until it is closed."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from devstack.realtime.bindings import SubscriptionError, parse_binding
from devstack.realtime.feed import Feed
from devstack.realtime.frames import Frame
from devstack.realtime.join import Join, given_token, unsupported
from devstack.realtime.tokens import Identity, TokenError, read_token
from devstack.realtime.topics import Topics

_CHECK_EXPIRY_SECONDS = 300.0  # at the latest: clocks jump, machines sleep
_MOST_BROADCAST_BYTES = 3_000_500
_SUBSCRIBED = "Subscribed to PostgreSQL"


@dataclass(frozen=True, slots=True)
class Services:
    """What every channel of a gateway shares."""

    jwt_secret: str
    feed: Feed
    topics: Topics


class Channel:
    """A member of a topic. Made by a socket when a join is accepted; `start` follows the reply."""

    def __init__(
        self,
        topic: str,
        join_ref: str | None,
        join: Join,
        identity: Identity,
        services: Services,
        send: Callable[[Frame], None],
        on_closed: Callable[["Channel"], None],
    ) -> None:
        """`send` must not wait; `on_closed` is called once, when the channel has ended for whatever reason."""
        self.topic = topic
        self.join_ref = join_ref
        self._join = join
        self._identity = identity
        self._services = services
        self._send = send
        self._on_closed = on_closed
        self._subscribing: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take part: hear broadcasts, subscribe to changes, and end with the token."""
        self._services.topics.join(self._join.name, self)
        self._follow_token()

    def handle(self, frame: Frame) -> None:
        """Do what a frame of the client for this channel asks; what is unknown is ignored, as Realtime does."""
        if frame.event == "phx_leave":
            self._send(frame.reply("ok", {}))
            self.close()
        elif frame.event == "access_token":
            self._take_token(frame.payload)
        elif frame.event == "broadcast":
            self._broadcast(frame)
        elif frame.event == "presence":
            self._send(frame.reply("error", {"reason": str(unsupported("presence"))}))

    def close(self) -> None:
        """End the channel and tell the client."""
        self.drop()
        self._send(Frame(self.topic, "phx_close", {}, self.join_ref, self.join_ref))

    def drop(self) -> None:
        """End the channel without a word, as when its socket is lost."""
        self._stop_following()
        self._services.feed.unsubscribe(self)
        self._services.topics.leave(self._join.name, self)
        self._on_closed(self)

    def push(self, event: str, payload: Mapping[str, Any] | orjson.Fragment) -> None:
        """Send the client what others caused."""
        self._send(Frame(self.topic, event, payload))

    def changed(self, ids: Sequence[int], data: orjson.Fragment) -> None:
        """Send the client one row change, for the bindings with these ids."""
        self.push("postgres_changes", {"ids": ids, "data": data})

    def resumed(self) -> None:
        """Tell the client that changes flow again: what happened in between it must read by itself."""
        self._system("postgres_changes", "ok", _SUBSCRIBED)

    def _broadcast(self, frame: Frame) -> None:
        text = orjson.dumps(frame.payload)
        fits = len(text) <= _MOST_BROADCAST_BYTES
        if fits:
            besides = None if self._join.receives_own else self
            self._services.topics.broadcast(self._join.name, orjson.Fragment(text), besides)
        if self._join.wants_ack:
            self._send(frame.reply("ok", {}) if fits else frame.reply("error", "payload_size_exceeded"))

    def _take_token(self, payload: Mapping[str, Any]) -> None:
        token = given_token(payload)
        if token is None or token == self._identity.token:
            return
        try:
            self._identity = read_token(token, self._services.jwt_secret)
        except TokenError as error:
            self._shut_down(str(error))
        else:
            self._follow_token()

    def _follow_token(self) -> None:
        """Subscribe as whom the token names, and look after its expiry."""
        self._stop_following()
        if self._join.entries:
            self._subscribing = asyncio.create_task(self._subscribe())
        self._check_expiry()

    def _stop_following(self) -> None:
        if self._subscribing is not None:
            self._subscribing.cancel()
        if self._expiry is not None:
            self._expiry.cancel()

    def _check_expiry(self) -> None:
        try:
            self._identity.check_expiry()
        except TokenError as error:
            self._shut_down(str(error))
            return
        left = self._identity.expires_at - time.time()
        self._expiry = asyncio.get_running_loop().call_later(min(left, _CHECK_EXPIRY_SECONDS), self._check_expiry)

    async def _subscribe(self) -> None:
        try:
            bindings = [parse_binding(entry) for entry in self._join.entries]
            await self._services.feed.subscribe(self, bindings, self._identity)
        except SubscriptionError as error:
            self._system("postgres_changes", "error", str(error))
        else:
            self._system("postgres_changes", "ok", _SUBSCRIBED)

    def _shut_down(self, message: str) -> None:
        self._system("system", "error", message)
        self.close()

    def _system(self, extension: str, status: str, message: str) -> None:
        payload = {"channel": self._join.name, "extension": extension, "message": message, "status": status}
        self._send(Frame(self.topic, "system", payload, None, self.join_ref))
