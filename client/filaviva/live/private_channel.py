"""Private topics: broadcasts and presence among those whom the project's policies let in.

Views of one topic share its channel. What a client tracks as present, it tracks again after every rejoin, and for as
long as the view that asked for it is there.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self
from uuid import uuid4

from pydantic_core import to_jsonable_python
from realtime.types import ChannelEvents

from filaviva.errors import FilaVivaError, Unavailable, not_json
from filaviva.live.source import Source
from filaviva.realtime.channel import Channel
from filaviva.realtime.connection import Connection
from filaviva.realtime.presence import Meta, PresenceState
from filaviva.realtime.refusals import is_worth_repeating

logger = logging.getLogger(__name__)

# The server ends a channel that tracks more than 5 times in 30 s.
_TRACKS = 4
_TRACK_SECONDS = 30.0

P = ParamSpec("P")

Heard = Callable[[str, Mapping[str, Any]], None]


class PrivateChannel(Source):
    """One view's part in a private topic, such as ``conversa:<id>``. An async context manager, or a view's source.

    Messages sent while it is not joined are refused, not kept. Nothing that was sent by others meanwhile is seen.

    Attributes:
        is_live: whether messages arrive now.
        error: why the server refuses the topic; None while it does not.
        tracked: what this view shows as present, or None.
    """

    def __init__(
        self,
        rooms: "Rooms",
        topic: str,
        *,
        on_broadcast: Heard | None = None,
        on_presence: Callable[[], None] | None = None,
        on_joined: Callable[[], None] | None = None,
    ) -> None:
        """Take part in `topic` once opened.

        `on_broadcast` gets the event and the payload of everything that others send; `on_presence` is called when
        somebody came, went or changed; `on_joined` after every join, when what was missed should be read. All are
        called in the loop and must be quick; what they raise is logged.
        """
        super().__init__()
        self._rooms = rooms
        self.topic = topic
        self._room: _Room | None = None
        self._is_over = False
        self.tracked: Mapping[str, Any] | None = None
        self.on_broadcast = on_broadcast
        self.on_presence = on_presence
        self.on_joined = on_joined
        self.is_loading = False

    async def __aenter__(self) -> Self:
        self._room = await self._rooms.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        room, self._room = self._room, None
        self.is_live, self._is_over = False, True
        if room is not None:
            await self._rooms.leave(room, self)

    async def run(self) -> None:
        """Take part until cancelled."""
        async with self:
            await asyncio.get_running_loop().create_future()

    @property
    def presence(self) -> Mapping[str, tuple[Meta, ...]]:
        """Who is present: what each key tracks, once for every place in which it is. Empty while not joined."""
        return self._room.presence.metas if self._room is not None else {}

    async def send(self, event: str, payload: Mapping[str, Any]) -> None:
        """Broadcast to the others; returns when the server has taken it.

        Raises:
            Unavailable: not joined, or no acknowledgement came: it may have been delivered or not. A server gives
                none either when the policies do not let this user write to the topic.
            PayloadTooLarge: more than a broadcast may carry.
        """
        message = {"type": "broadcast", "event": event, "payload": dict(payload)}
        if self._room is None:
            raise self._not_open()
        await self._room.channel.request(ChannelEvents.broadcast, message)

    async def track(self, state: Mapping[str, Any]) -> None:
        """Be present with `state` from the join on and after every rejoin, in place of what was tracked before.

        Returns at once; states that follow quickly on each other are joined to the newest, as the server allows few.
        Of several views of the topic, the state that was tracked last is shown.

        Raises:
            Unavailable: it was left.
            InvalidRequest: `state` is not JSON.
        """
        try:
            self._track(to_jsonable_python(dict(state)))
        except ValueError as error:
            raise not_json("The presence", error) from error

    async def untrack(self) -> None:
        """Be present no more, unless another view of the topic is."""
        self._track(None)

    def _track(self, state: Mapping[str, Any] | None) -> None:
        if self._is_over:
            raise self._not_open()
        self.tracked = state
        if self._room is not None:
            self._room.track(self, state)

    @staticmethod
    def _not_open() -> Unavailable:
        return Unavailable("The channel is not open.", code="not_joined", hint="Use it inside `async with`.")


class _Room:
    """A topic's channel and what is known through it, shared by all who take part."""

    def __init__(self, connection: Connection, topic: str, presence_key: Callable[[], str]) -> None:
        self.topic = topic
        self.presence = PresenceState()
        self.members: dict[PrivateChannel, None] = {}
        self._presence_key = presence_key
        self._tracked: dict[PrivateChannel, Mapping[str, Any]] = {}
        self._to_track = asyncio.Event()
        self._tracker: asyncio.Task[None] | None = None
        self.channel = Channel(connection, lambda: topic, self._config, self)
        self.channel.open()

    async def close(self) -> None:
        await self.channel.close()

    def enter(self, member: PrivateChannel) -> None:
        self.members[member] = None
        if member.tracked is not None:
            self.track(member, member.tracked)
        if self.channel.is_joined:
            self._let_in(member)

    def leave(self, member: PrivateChannel) -> None:
        self.members.pop(member, None)
        if self.members:
            self.track(member, None)

    def track(self, member: PrivateChannel, state: Mapping[str, Any] | None) -> None:
        self._tracked.pop(member, None)
        if state is not None:
            self._tracked[member] = state
        self._to_track.set()

    def joined(self) -> None:
        self._to_track.set()
        self._tracker = asyncio.create_task(self._keep_tracked())
        for member in list(self.members):
            self._let_in(member)

    def lost(self) -> None:
        self.presence.clear()
        if self._tracker is not None:
            self._tracker.cancel()
        for member in list(self.members):
            member.is_live = False
            self._changed(member)

    def refused(self, error: FilaVivaError) -> None:
        for member in list(self.members):
            member.error, member.is_refused = error, not is_worth_repeating(error)
            member.notify()

    def renewed(self) -> None:
        """Whoever is present stays so; the server asks the policies again by itself."""

    def heard(self, event: str, payload: Any) -> None:
        if event == ChannelEvents.broadcast:
            for member in list(self.members):
                _call(member.on_broadcast, str(payload["event"]), payload.get("payload") or {})
        elif event in (ChannelEvents.presence_state, ChannelEvents.presence_diff):
            (self.presence.replace if event == ChannelEvents.presence_state else self.presence.merge)(payload)
            for member in list(self.members):
                self._changed(member)

    def _let_in(self, member: PrivateChannel) -> None:
        member.is_live, member.error, member.is_refused = True, None, False
        _call(member.on_joined)
        self._changed(member)

    def _changed(self, member: PrivateChannel) -> None:
        _call(member.on_presence)
        member.notify()

    def _config(self) -> Mapping[str, Any]:
        return {
            "broadcast": {"ack": True, "self": False},
            "presence": {"key": self._presence_key(), "enabled": True},
            "private": True,
            "postgres_changes": [],
        }

    async def _keep_tracked(self) -> None:
        """Tell the server what is tracked, whenever that is new, and never too often."""
        loop = asyncio.get_running_loop()
        allowed = [0.0] * _TRACKS
        told: Mapping[str, Any] | None = None
        while True:
            await self._to_track.wait()
            await asyncio.sleep(allowed[0] - loop.time())
            self._to_track.clear()
            newest = next(reversed(self._tracked.values()), None)
            if newest != told:
                allowed = [*allowed[1:], loop.time() + _TRACK_SECONDS]
                told = newest
                await self._tell(told)

    async def _tell(self, state: Mapping[str, Any] | None) -> None:
        message = {"event": "untrack", "payload": {}} if state is None else {"event": "track", "payload": state}
        try:
            await self.channel.request(ChannelEvents.presence, {"type": "presence", **message})
        except FilaVivaError as error:
            logger.info("Presence on %s was not taken: %s", self.topic, error)


def _call(callback: Callable[P, None] | None, *args: P.args, **kwargs: P.kwargs) -> None:
    """Call one member's callback; its fault is not the others'."""
    try:
        if callback is not None:
            callback(*args, **kwargs)
    except Exception:
        logger.exception("What a private channel heard could not be taken")


class Rooms:
    """The private topics of one client: each is joined once, for as long as somebody takes part.

    The user's id is the key under which the client is listed as present, so that several tabs of one person count
    once; without a user it is a random one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._anonymous_key = str(uuid4())
        self._rooms: dict[str, _Room] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def enter(self, member: PrivateChannel) -> _Room:
        """The member's room, joined in the background if it is the first."""
        while member.topic in self._closing:  # joining a topic that is being left would end the new channel too
            await asyncio.wait({self._closing[member.topic]})
        room = self._rooms.get(member.topic)
        if room is None:
            room = self._rooms[member.topic] = _Room(self._connection, member.topic, self._presence_key)
        room.enter(member)
        return room

    def _presence_key(self) -> str:
        return self._connection.user_id or self._anonymous_key

    async def leave(self, room: _Room, member: PrivateChannel) -> None:
        """The last one to leave frees the channel."""
        room.leave(member)
        if room.members or self._rooms.get(room.topic) is not room:
            return
        del self._rooms[room.topic]
        task = self._closing[room.topic] = asyncio.create_task(room.close())
        task.add_done_callback(lambda _: self._closing.pop(room.topic, None))
        await asyncio.wait({task})
