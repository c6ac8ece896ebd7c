"""Presence: what the members of a room say about themselves, and the diffs that keep the others up to date."""

import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from devstack.realtime.topics import Member, Room, Topics

State = dict[str, dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one member tracks.

    Attributes:
        key: under which it is listed; several members may share one.
        data: what the client said.
        meta: the same as the others see it, with the references by which clients tell one entry from the next.
    """

    key: str
    data: Mapping[str, Any]
    meta: dict[str, Any]


class Presence:
    """The entries of every room; each change of them is told to all its members, the one who caused it included."""

    def __init__(self, topics: Topics) -> None:
        """Nobody tracks anything."""
        self._topics = topics
        self._rooms: dict[Room, dict[Member, _Entry]] = defaultdict(dict)

    def state(self, room: Room) -> State:
        """All entries by key, as a new member needs them."""
        state: State = {}
        for entry in self._rooms.get(room, {}).values():
            state.setdefault(entry.key, {"metas": []})["metas"].append(entry.meta)
        return state

    def track(self, room: Room, member: Member, key: str, data: Mapping[str, Any]) -> None:
        """List `member` with `data`, in place of what it tracked before; the same data again changes nothing."""
        former = self._rooms[room].get(member)
        if former is not None and former.data == data:
            return
        meta = {**data, "phx_ref": secrets.token_urlsafe(12)}
        if former is not None:
            meta["phx_ref_prev"] = former.meta["phx_ref"]
        entry = _Entry(key, data, meta)
        self._rooms[room][member] = entry
        self._tell(room, joined=entry, left=former)

    def untrack(self, room: Room, member: Member) -> None:
        """Take `member` off the list, if it is there."""
        left = self._rooms[room].pop(member, None)
        if not self._rooms[room]:
            del self._rooms[room]
        if left is not None:
            self._tell(room, joined=None, left=left)

    def _tell(self, room: Room, joined: _Entry | None, left: _Entry | None) -> None:
        diff = orjson.Fragment(orjson.dumps({"joins": _listed(joined), "leaves": _listed(left)}))
        for member in self._topics.members(room):
            member.notice(diff)


def _listed(entry: _Entry | None) -> State:
    return {} if entry is None else {entry.key: {"metas": [entry.meta]}}
