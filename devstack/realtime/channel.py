"""One joined topic of one socket: its token, its subscription, its place in the topic, until it is closed."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from devstack.realtime.bindings import SubscriptionError, parse_binding
from devstack.realtime.broadcasts import Broadcast, UserBroadcast
from devstack.realtime.frames import Frame
from devstack.realtime.join import Join, given_token
from devstack.realtime.policies import BROADCAST, PRESENCE, AccessError
from devstack.realtime.rights import Rights
from devstack.realtime.services import Services
from devstack.realtime.tokens import Identity, TokenError, read_token

_log = logging.getLogger(__name__)

_CHECK_EXPIRY_SECONDS = 300.0  # at the latest: clocks jump, machines sleep
_DATABASE_SECONDS = 60.0
_SUBSCRIBED = "Subscribed to PostgreSQL"
_AWAY = "Unable to subscribe to changes while the database is away; it is tried again."


class Channel:
    """A member of a topic. Made by a socket for a join: `prepare` before the reply, `start` after it."""

    def __init__(
        self,
        topic: str,
        join_ref: str | None,
        join: Join,
        identity: Identity,
        headers: str,
        services: Services,
        send: Callable[[Frame], None],
        on_closed: Callable[["Channel"], None],
    ) -> None:
        """Join nothing yet.

        `headers` are those that policies can read; `send` must not wait; `on_closed` is called once, when the
        channel has ended for whatever reason.
        """
        self.topic = topic
        self.join_ref = join_ref
        self._join = join
        self._room = join.room
        self._identity = identity
        self._rights = Rights(services.policies, join.room, headers, join.wants_presence)
        self._services = services
        self._send = send
        self._on_closed = on_closed
        self._subscribing: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._replayed: dict[str, UserBroadcast] = {}
        self._awaiting_database: asyncio.Task[None] | None = None
        self._presence_calls = services.rates.of_channel()
        self._ended = False

    async def prepare(self) -> None:
        """Find out whether the channel may be joined, and what is to be replayed.

        Raises:
            AccessError: it may not.
            ReplayError: the messages to replay cannot be read.
        """
        await self._rights.renew(self._identity)
        if self._join.replay is not None and self._rights.may_hear(BROADCAST):
            messages = await self._services.replay.read(self._room.name, self._join.replay)
            self._replayed = {message.meta["id"]: message for message in messages}

    def start(self) -> None:
        """Take part: hear broadcasts, know who is there, subscribe to changes, and end with the token."""
        self._services.topics.join(self._room, self)
        for message in self._replayed.values():
            # as text it is addressed to this very join; binary frames name none
            payload = message.as_object() if message.is_json else message
            self._send(Frame(self.topic, "broadcast", payload, None, self.join_ref))
        if self._join.wants_presence and self._rights.may_hear(PRESENCE):
            state = self._services.presence.state(self._room)
            self._send(Frame(self.topic, "presence_state", state, None, self.join_ref))
        if self._join.waits_for_database:
            self._awaiting_database = asyncio.create_task(self._await_database())
        self._follow_token()

    async def handle(self, frame: Frame) -> None:
        """Do what a frame of the client for this channel asks; what is unknown is ignored, as Realtime does."""
        if frame.event == "phx_leave":
            self._send(frame.reply("ok", {}))
            self.close()
        elif frame.event == "access_token":
            await self._take_token(frame.payload)
        elif frame.event == "broadcast":
            await self._broadcast(frame)
        elif frame.event == "presence":
            await self._be_present(frame)

    def close(self) -> None:
        """End the channel and tell the client."""
        self.drop()
        self._send(Frame(self.topic, "phx_close", {}, self.join_ref, self.join_ref))

    def drop(self) -> None:
        """End the channel without a word, as when its socket is lost."""
        self._ended = True
        self._stop_following()
        if self._awaiting_database is not None:
            self._awaiting_database.cancel()
        self._services.feed.unsubscribe(self)
        self._services.topics.leave(self._room, self)
        self._services.presence.untrack(self._room, self)
        self._on_closed(self)

    def hear(self, broadcast: Broadcast) -> None:
        """Send the client what another member, or the database, says."""
        is_repeated = isinstance(broadcast, UserBroadcast) and broadcast.meta.get("id") in self._replayed
        if self._rights.may_hear(BROADCAST) and not is_repeated:
            self._services.rates.messages.allows_another()  # above the rate it is the sender who is shut down
            self._push("broadcast", broadcast)

    def notice(self, diff: orjson.Fragment) -> None:
        """Tell the client who has come and gone."""
        if self._rights.may_hear(PRESENCE):
            self._push("presence_diff", diff)

    def changed(self, ids: Sequence[int], data: orjson.Fragment) -> None:
        """Send the client one row change, for the bindings with these ids; it is dropped above the rate."""
        if self._services.rates.messages.allows_another():
            self._push("postgres_changes", {"ids": ids, "data": data})

    def interrupted(self, reason: str) -> None:
        """Tell the client that no changes flow, and why."""
        self._system("postgres_changes", "error", f"{_AWAY} {reason}")

    def subscribe_again(self) -> None:
        """Subscribe anew with what was asked for in the join, and tell the client how that went."""
        if not self._ended:
            self._start_subscribing()

    def disconnected(self) -> None:
        """Tell the client that the server is about to end the connection."""
        payload = {"extension": "system", "status": "ok", "message": "Server requested disconnect"}
        self._send(Frame(self.topic, "system", payload, None, self.join_ref))

    def resumed(self) -> None:
        """Tell the client that changes flow again: what happened in between it must read by itself."""
        self._system("postgres_changes", "ok", _SUBSCRIBED)

    def _push(self, event: str, payload: Mapping[str, Any] | Broadcast) -> None:
        self._send(Frame(self.topic, event, payload))

    async def _broadcast(self, frame: Frame) -> None:
        broadcast, size = _broadcast_in(frame)
        if not self._services.rates.messages.has_room_for(1):
            self._shut_down("Too many messages per second")
            return
        if not await self._may_say(BROADCAST):
            if self._join.wants_ack and not self._ended:
                reason = f"Unauthorized: You do not have permissions to write to this Channel topic: {self._room.name}"
                self._send(frame.reply("error", {"reason": reason}))
            return
        fits = size <= self._services.limits.broadcast_bytes
        if fits:
            besides = None if self._join.receives_own else self
            self._services.topics.broadcast(self._room, broadcast, besides)
        if self._join.wants_ack:
            self._send(frame.reply("ok", {}) if fits else frame.reply("error", "payload_size_exceeded"))

    async def _be_present(self, frame: Frame) -> None:
        event, data = frame.payload.get("event"), frame.payload.get("payload", {})
        if event is None:
            self._send(frame.reply("ok", {}))
            return
        if not self._presence_calls.allows_another():
            self._shut_down("Client presence rate limit exceeded")
            return
        if not self._services.rates.presence.allows_another():
            self._shut_down("Too many presence messages per second")
            return
        if str(event).lower() == "untrack":
            self._send(frame.reply("ok", {}))
            self._services.presence.untrack(self._room, self)
        elif str(event).lower() != "track" or not await self._may_say(PRESENCE):
            self._send(frame.reply("error", {}))
        elif not isinstance(data, dict):
            self._send(frame.reply("error", {"reason": "Presence track payload must be a map"}))
        elif len(orjson.dumps(data)) > self._services.limits.broadcast_bytes:
            self._shut_down("Track message size exceeded")
        else:
            self._send(frame.reply("ok", {}))
            self._services.presence.track(self._room, self, self._join.presence_key, data)

    async def _may_say(self, extension: str) -> bool:
        """Whether it may, and is still here when the database has answered."""
        try:
            if extension == PRESENCE:
                await self._rights.include_presence()
            return await self._rights.may_say(extension) and not self._ended
        except AccessError as error:
            _log.warning("nothing is sent to %s: %s", self.topic, error)
            return False

    async def _take_token(self, payload: Mapping[str, Any]) -> None:
        token = given_token(payload)
        if token is None or token == self._identity.token:
            return
        try:
            identity = read_token(token, self._services.jwt_secret)
            await self._rights.renew(identity)
        except (TokenError, AccessError) as error:
            self._shut_down(str(error))
        else:
            self._identity = identity
            self._follow_token()

    def _follow_token(self) -> None:
        """Subscribe as whom the token names, and look after its expiry."""
        if self._ended:
            return
        self._stop_following()
        if self._join.entries:
            self._start_subscribing()
        self._check_expiry()

    def _start_subscribing(self) -> None:
        if self._subscribing is not None:
            self._subscribing.cancel()
        self._subscribing = asyncio.create_task(self._subscribe())

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
        except Exception:
            _log.exception("%s could not be subscribed to changes", self.topic)
            self._system("postgres_changes", "error", "Unable to subscribe to changes: an unexpected error")
        else:
            self._system("postgres_changes", "ok", _SUBSCRIBED)

    async def _await_database(self) -> None:
        try:
            async with asyncio.timeout(_DATABASE_SECONDS):
                await self._services.messages.wait_until_live()
        except TimeoutError:
            self._shut_down("Replication connection was not established in time")
        else:
            self._system("system", "ok", "Replication connection established")

    def _shut_down(self, message: str) -> None:
        if self._ended:
            return
        self._system("system", "error", message)
        self.close()

    def _system(self, extension: str, status: str, message: str) -> None:
        payload = {"channel": self._room.name, "extension": extension, "message": message, "status": status}
        self._send(Frame(self.topic, "system", payload, None, self.join_ref))


def _broadcast_in(frame: Frame) -> tuple[Broadcast, int]:
    """What a client wants everyone to hear, and its size in bytes."""
    if isinstance(frame.payload, UserBroadcast):
        return frame.payload, len(frame.payload.payload)
    text = orjson.dumps(frame.payload)
    return orjson.Fragment(text), len(text)
