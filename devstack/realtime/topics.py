"""Broadcast between the members of public channels."""

from collections import defaultdict
from typing import Any, Protocol

import orjson


class Member(Protocol):
    """A joined channel as the others of its topic see it."""

    def push(self, event: str, payload: dict[str, Any] | orjson.Fragment) -> None:
        """Send an event to its client. Must not wait."""


class Topics:
    """Who has joined which public topic, over all sockets."""

    def __init__(self) -> None:
        """Nobody has joined."""
        self._members: dict[str, dict[Member, None]] = defaultdict(dict)

    def join(self, name: str, member: Member) -> None:
        """Let `member` hear what is broadcast on the topic."""
        self._members[name][member] = None

    def leave(self, name: str, member: Member) -> None:
        """Forget `member`."""
        self._members[name].pop(member, None)
        if not self._members[name]:
            del self._members[name]

    def broadcast(self, name: str, payload: orjson.Fragment, besides: Member | None) -> None:
        """Send `payload`, word for word, to everyone on the topic but `besides`."""
        for member in list(self._members.get(name, ())):
            if member is not besides:
                member.push("broadcast", payload)
