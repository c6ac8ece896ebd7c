"""Phoenix frames in both framings: objects (vsn 1.0.0), and arrays with binary broadcasts (vsn 2.0.0)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from devstack.realtime.binary import decode_broadcast, encode_broadcast
from devstack.realtime.broadcasts import UserBroadcast

_DEEP = 200  # the JSON writer gives up at about 250 levels


class Version(StrEnum):
    """The framing a socket speaks; a client names it in the query of the handshake."""

    OBJECTS = "1.0.0"
    ARRAYS = "2.0.0"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message in either direction.

    Attributes:
        topic: `realtime:<name>`, or `phoenix` for the socket itself.
        event: what happened or is asked for.
        payload: a JSON object: a dict, or an `orjson.Fragment` where it is already text; a dict in what is received.
            For the event `broadcast` also a `UserBroadcast`.
        ref: number of a request, repeated in its reply; None in what the server says on its own.
        join_ref: `ref` of the join that made the channel.
    """

    topic: str
    event: str
    payload: Any
    ref: str | None = None
    join_ref: str | None = None

    def reply(self, status: str, response: Any) -> "Frame":
        """The answer to this frame; `status` is ok or error."""
        payload = {"status": status, "response": response}
        return Frame(self.topic, "phx_reply", payload, self.ref, self.join_ref)


def encode(frame: Frame, version: Version) -> str | bytes | None:
    """The text of `frame`, or its bytes; None for what cannot be said in this framing.

    Objects carry no `join_ref`, and an explicit null for a missing `ref`.
    """
    payload = frame.payload
    if isinstance(payload, UserBroadcast):
        data = encode_broadcast(frame.topic, payload) if version is Version.ARRAYS else None
        if data is not None or not payload.is_json:
            return data
        payload = payload.as_object()
    if version is Version.ARRAYS:
        content: Any = [frame.join_ref, frame.ref, frame.topic, frame.event, payload]
    else:
        content = {"event": frame.event, "payload": payload, "ref": frame.ref, "topic": frame.topic}
    return orjson.dumps(content).decode()


def decode(data: str | bytes, version: Version) -> Frame | None:
    """The frame in `data`, or None for what is to be dropped without an answer: no JSON, or another shape."""
    if isinstance(data, str):
        return _from_text(data, version)
    parts = decode_broadcast(data) if version is Version.ARRAYS else None
    if parts is None:
        return None
    join_ref, ref, topic, broadcast = parts
    return Frame(topic, "broadcast", broadcast, ref or None, join_ref or None)


def parse_json(text: str | bytes) -> Any:
    """The value in a JSON text that can also be written again, inside of others.

    Raises:
        ValueError: it is no JSON, or so deep that nobody could be told of it.
    """
    content = orjson.loads(text)
    brackets = (b"{", b"[") if isinstance(text, bytes) else ("{", "[")
    if sum(map(text.count, brackets)) > _DEEP:  # type: ignore[arg-type]
        try:
            orjson.dumps([[[[[[[[content]]]]]]]])
        except orjson.JSONEncodeError as error:
            raise ValueError("nested too deeply") from error
    return content


def _from_text(text: str, version: Version) -> Frame | None:
    try:
        content = parse_json(text)
    except ValueError:
        return None
    parts = _from_array(content) if version is Version.ARRAYS else _from_object(content)
    if parts is None:
        return None
    join_ref, ref, topic, event, payload = parts
    if not (isinstance(topic, str) and isinstance(event, str) and isinstance(payload, dict)):
        return None
    return Frame(topic, event, payload, _text_or_none(ref), _text_or_none(join_ref))


def _from_array(content: Any) -> list[Any] | None:
    return content[:5] if isinstance(content, list) and len(content) >= 5 else None


def _from_object(content: Any) -> list[Any] | None:
    if not isinstance(content, dict) or not content.keys() >= {"topic", "event", "payload", "ref"}:
        return None
    return [content.get("join_ref"), *(content[key] for key in ("ref", "topic", "event", "payload"))]


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
