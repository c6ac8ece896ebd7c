"""Binary frames of vsn 2.0.0, which carry broadcasts: kind 3 from clients, kind 4 to them.

A frame is its kind, one byte for the length of each text, the encoding of the payload, the texts, the payload.
"""

import orjson

from devstack.realtime.broadcasts import UserBroadcast

_PUSH, _DELIVERY = 3, 4
_PUSH_HEADER = 7
_LONGEST = 255


def encode_broadcast(topic: str, broadcast: UserBroadcast) -> bytes | None:
    """The frame of kind 4; None if a text is longer than a frame can say."""
    meta = orjson.dumps(broadcast.meta) if broadcast.meta else b""
    texts = (topic.encode(), broadcast.event.encode(), meta)
    if any(len(text) > _LONGEST for text in texts):
        return None
    header = bytes([_DELIVERY, *map(len, texts), broadcast.is_json])
    return b"".join([header, *texts, broadcast.payload])


def decode_broadcast(data: bytes) -> tuple[str, str, str, UserBroadcast] | None:
    """join_ref, ref, topic and broadcast in a frame of kind 3; None for what is to be dropped without an answer."""
    if len(data) < _PUSH_HEADER or data[0] != _PUSH or data[6] > 1:
        return None
    position, parts = _PUSH_HEADER, []
    for length in data[1:6]:
        parts.append(data[position : position + length])
        position += length
    if position > len(data):
        return None
    payload, is_json = data[position:], data[6] == 1
    try:
        join_ref, ref, topic, event, _metadata = (part.decode() for part in parts)
        if is_json:
            orjson.loads(payload)
    except ValueError:
        return None
    return join_ref, ref, topic, UserBroadcast(event, payload, is_json, {})
