"""What a client asks for when it joins a channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devstack.realtime.bindings import number_of

_PREFIX = "realtime:"


class JoinError(Exception):
    """A join is refused; the message is the reason the client gets."""


@dataclass(frozen=True, slots=True)
class Join:
    """A join's wishes; keys it does not know are ignored, as clients are often newer than servers.

    Attributes:
        name: the topic without `realtime:`.
        token: the token it brings; None means the socket's.
        receives_own: its own broadcasts come back to it.
        wants_ack: its broadcasts are answered.
        entries: the entries of `postgres_changes`, as sent.
    """

    name: str
    token: str | None
    receives_own: bool
    wants_ack: bool
    entries: tuple[Mapping[str, Any], ...]

    def echo(self) -> list[dict[str, Any]]:
        """The entries as the reply repeats them, each with its id: clients compare them with their own."""
        return [{**entry, "id": number_of(entry)} for entry in self.entries]


def parse_join(topic: str, payload: Mapping[str, Any]) -> Join:
    """Read a join.

    Raises:
        JoinError: the topic has no name, the payload another shape, or it asks for what is not supported.
    """
    name = topic.removeprefix(_PREFIX)
    if not name:
        raise JoinError("TopicNameRequired: You must provide a topic name")
    config = _object(payload, "config")
    broadcast = _object(config, "broadcast")
    _refuse_unsupported(config, broadcast)
    return Join(
        name=name,
        token=given_token(payload),
        receives_own=_flag(broadcast, "self"),
        wants_ack=_flag(broadcast, "ack"),
        entries=_entries(config.get("postgres_changes")),
    )


def given_token(payload: Mapping[str, Any]) -> str | None:
    """The user's token in a payload; None without one, and for API keys, which stand for the socket's own."""
    for key in ("access_token", "user_token"):
        token = payload.get(key)
        if isinstance(token, str):
            return None if token.startswith("sb_") else token
    return None


def _refuse_unsupported(config: Mapping[str, Any], broadcast: Mapping[str, Any]) -> None:
    if _flag(config, "private"):
        raise unsupported("private channels")
    if _flag(_object(config, "presence"), "enabled"):
        raise unsupported("presence")
    if _flag(broadcast, "replication_ready"):
        raise unsupported("broadcast from the database (broadcast.replication_ready)")
    if broadcast.get("replay") is not None:
        raise JoinError("UnableToReplayMessages: Replay is not allowed for public channels")


def unsupported(feature: str) -> JoinError:
    """The refusal of something real Realtime has and this gateway has not."""
    return JoinError(f"UnsupportedFeature: {feature} is not supported by devstack's Realtime")


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
