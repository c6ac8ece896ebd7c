"""Who has joined which topic, and how a broadcast reaches all of them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import orjson

from devstack.realtime.broadcasts import Broadcast


@dataclass(frozen=True, slots=True)
class Room:
    """A topic as its members share it: the public and the private one of a name are strangers to each other."""

    name: str
    private: bool


class Member(Protocol):
    """A joined channel as the others of its room see it."""

    def hear(self, broadcast: Broadcast) -> None:
        """Take a broadcast. Must not wait."""

    def notice(self, diff: orjson.Fragment) -> None:
        """Take a `presence_diff`. Must not wait."""


class Topics:
    """The members of every room, over all sockets."""

    def __init__(self) -> None:
        """Nobody has joined."""
        self._members: dict[Room, dict[Member, None]] = defaultdict(dict)

    def join(self, room: Room, member: Member) -> None:
        """Let `member` take part in the room."""
        self._members[room][member] = None

    def leave(self, room: Room, member: Member) -> None:
        """Forget `member`."""
        self._members[room].pop(member, None)
        if not self._members[room]:
            del self._members[room]

    def members(self, room: Room, besides: Member | None = None) -> Iterator[Member]:
        """Everyone in the room but `besides`."""
        return (member for member in list(self._members.get(room, ())) if member is not besides)

    def broadcast(self, room: Room, broadcast: Broadcast, besides: Member | None) -> None:
        """Let everyone in the room but `besides` hear it."""
        for member in self.members(room, besides):
            member.hear(broadcast)
