"""The body of a request: JSON that is passed on to PostgreSQL as it came, once its keys are known."""

from dataclasses import dataclass
from typing import Any

import orjson

from devstack.rest.errors import RestError, not_implemented

_NOT_SERVED = {
    "text/csv": "CSV bodies",
    "application/x-www-form-urlencoded": "form bodies",
    "text/plain": "raw bodies",
    "text/xml": "raw bodies",
    "application/octet-stream": "raw bodies",
}


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON body.

    Attributes:
        raw: the JSON, as sent.
        keys: the names in the object, or in each object of the array, sorted.
        is_object: whether it is one object; else an array.
    """

    raw: bytes
    keys: tuple[str, ...]
    is_object: bool


def read_payload(body: bytes, content_type: str | None, columns: tuple[str, ...] | None, *, for_call: bool) -> Payload:
    """Judge a body.

    Args:
        body: as sent; for a function an empty one is `{}`.
        content_type: what the client says it is; JSON if it does not say.
        columns: the keys to take, when the request names them; the objects may then differ.
        for_call: whether the body is for a function.

    Raises:
        RestError: PGRST102, it is not JSON or its objects have different keys.
    """
    _check_type(content_type)
    if b"\0" in body:
        raise _invalid("Empty or invalid json")
    if columns is not None:
        return Payload(body, tuple(sorted(set(columns))), body.lstrip(b" \t\r\n").startswith(b"{"))
    if not body and for_call:
        return Payload(b"{}", (), is_object=True)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _invalid("Empty or invalid json") from None
    if isinstance(value, dict):
        return Payload(body, tuple(sorted(value)), is_object=True)
    return _of_list(body, value)


def _check_type(content_type: str | None) -> None:
    name = (content_type or "application/json").partition(";")[0].strip().lower()
    if name == "application/json":
        return
    if name in _NOT_SERVED:
        raise not_implemented(_NOT_SERVED[name])
    raise _invalid(f"Content-Type not acceptable: {name}")


def _of_list(body: bytes, value: Any) -> Payload:
    """An array of like objects. Numbers, texts and null hold no row at all."""
    if not isinstance(value, list) or not value:
        return Payload(b"[]", (), is_object=False)
    keys = value[0].keys() if isinstance(value[0], dict) else None
    if keys is None or not all(isinstance(item, dict) and item.keys() == keys for item in value):
        raise _invalid("All object keys must match")
    return Payload(body, tuple(sorted(keys)), is_object=False)


def _invalid(message: str) -> RestError:
    return RestError(400, "PGRST102", message)
