"""A broadcast with its parts known, which each framing writes in its own way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class UserBroadcast:
    """Event and payload of a broadcast from the database, or in a binary frame.

    Attributes:
        event: its name.
        payload: JSON text, or any bytes.
        is_json: which of the two it is.
        meta: what the server says about it: its `id` in the database; empty for what clients send.
    """

    event: str
    payload: bytes
    is_json: bool
    meta: Mapping[str, Any]

    def as_object(self) -> dict[str, Any]:
        """The payload of a text frame; only for JSON."""
        content = {"event": self.event, "payload": orjson.Fragment(self.payload), "type": "broadcast"}
        return {**content, "meta": self.meta} if self.meta else content


Broadcast = orjson.Fragment | UserBroadcast
"""What members hear: the payload of a text frame word for word, or its parts."""
