"""What a client asks for when it joins a channel."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devstack.realtime.bindings import number_of
from devstack.realtime.replay import MOST_MESSAGES, ReplayWish
from devstack.realtime.topics import Room

_PREFIX = "realtime:"


class JoinError(Exception):
    """A join is refused; the message is the reason the client gets."""


@dataclass(frozen=True, slots=True)
class Join:
    """A join's wishes; keys it does not know are ignored, as clients are often newer than servers.

    Attributes:
        room: the topic without `realtime:`, public or private.
        token: the token it brings; None means the socket's.
        receives_own: its own broadcasts come back to it.
        wants_ack: its broadcasts are answered.
        replay: the messages from before that it wants; None for none.
        waits_for_database: it wants to be told when broadcasts from the database flow.
        presence_key: under which it is listed when it tracks something.
        wants_presence: it wants to know who else is there.
        entries: the entries of `postgres_changes`, as sent.
    """

    room: Room
    token: str | None
    receives_own: bool
    wants_ack: bool
    replay: ReplayWish | None
    waits_for_database: bool
    presence_key: str
    wants_presence: bool
    entries: tuple[Mapping[str, Any], ...]

    def echo(self) -> list[dict[str, Any]]:
        """The entries as the reply repeats them, each with its id: clients compare them with their own."""
        return [{**entry, "id": number_of(entry)} for entry in self.entries]


def parse_join(topic: str, payload: Mapping[str, Any]) -> Join:
    """Read a join.

    Raises:
        JoinError: the topic has no name, or the payload another shape.
    """
    name = topic.removeprefix(_PREFIX)
    if not name:
        raise JoinError("TopicNameRequired: You must provide a topic name")
    config = _object(payload, "config")
    broadcast = _object(config, "broadcast")
    presence = _object(config, "presence")
    private = _flag(config, "private")
    return Join(
        room=Room(name, private),
        token=given_token(payload),
        receives_own=_flag(broadcast, "self"),
        wants_ack=_flag(broadcast, "ack"),
        replay=_replay(broadcast.get("replay"), private),
        waits_for_database=_flag(broadcast, "replication_ready"),
        presence_key=str(presence.get("key") or uuid.uuid4()),
        wants_presence=_flag(presence, "enabled"),
        entries=_entries(config.get("postgres_changes")),
    )


def given_token(payload: Mapping[str, Any]) -> str | None:
    """The user's token in a payload; None without one, and for API keys, which stand for the socket's own."""
    for key in ("access_token", "user_token"):
        token = payload.get(key)
        if isinstance(token, str):
            return None if token.startswith("sb_") else token
    return None


def _replay(wish: Any, private: bool) -> ReplayWish | None:
    if wish is None:
        return None
    if not private:
        raise JoinError("UnableToReplayMessages: Replay is not allowed for public channels")
    given = wish if isinstance(wish, dict) else {}
    since, limit = _number(given.get("since")), given.get("limit")
    return ReplayWish(since, MOST_MESSAGES if limit is None else min(max(_number(limit), 1), MOST_MESSAGES))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise JoinError("UnableToReplayMessages: Replay params are not valid")
    return value


def _object(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise JoinError(f"InvalidJoin: `{key}` must be an object")
    return value


def _flag(parent: Mapping[str, Any], key: str) -> bool:
    return parent.get(key) in (True, "true")


def _entries(value: Any) -> tuple[Mapping[str, Any], ...]:
    entries = [] if value is None else value
    if not isinstance(entries, list) or not all(entry is None or isinstance(entry, dict) for entry in entries):
        raise JoinError("InvalidJoin: `postgres_changes` must be a list of objects")
    return tuple(entry for entry in entries if entry is not None)
