"""The body of a request: JSON that is passed on to PostgreSQL as it came, once its keys are known.

Forms and CSV become JSON, texts and bytes go to functions that take them whole.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import orjson

from devstack.rest.errors import RestError
from devstack.rest.query_string import split_query

JSON_TYPES = ("json", "jsonb")
_MOST_COLUMNS = 1600
"""How many columns a table of PostgreSQL's can have; functions have fewer parameters."""

_WHOLE = {"text/plain": "text", "text/xml": "xml", "application/octet-stream": "bytea"}


@dataclass(frozen=True, slots=True)
class Payload:
    """A body.

    Attributes:
        raw: JSON, as sent or made of what was sent; or what a parameter takes as a whole.
        keys: the names in the object, or in each object of the array, sorted; of too many the first few.
        is_object: whether it is one object; else an array.
        whole: the types of a parameter that can take it as a whole.
        arguments: what a form says to a function.
    """

    raw: bytes
    keys: tuple[str, ...]
    is_object: bool
    whole: tuple[str, ...] = JSON_TYPES
    arguments: tuple[tuple[str, str], ...] | None = None

    @property
    def is_json(self) -> bool:
        """Whether functions take it as JSON."""
        return self.whole is JSON_TYPES

    @property
    def is_raw(self) -> bool:
        """Whether only one parameter can take it, as a whole."""
        return bool(self.whole) and not self.is_json


def read_payload(body: bytes, content_type: str | None, columns: tuple[str, ...] | None, *, for_call: bool) -> Payload:
    """Judge a body.

    Args:
        body: as sent; for a function an empty one is `{}`.
        content_type: what the client says it is; JSON if it does not say.
        columns: the keys to take, when the request names them; the objects may then differ.
        for_call: whether the body is for a function.

    Raises:
        RestError: PGRST102, it is not what it says, its objects have different keys, or it is of no use here.
    """
    name = (content_type or "application/json").partition(";")[0].strip().lower()
    if name == "application/x-www-form-urlencoded":
        return _of_form(body, columns, for_call=for_call)
    if for_call and name in _WHOLE:
        return _of_whole(body, _WHOLE[name])
    if name == "text/csv":
        return replace(_of_json(_of_csv(body), columns, for_call=for_call), whole=())
    if name != "application/json":
        raise _invalid(f"Content-Type not acceptable: {name}")
    return _of_json(body, columns, for_call=for_call)


def _of_json(body: bytes, columns: tuple[str, ...] | None, *, for_call: bool) -> Payload:
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
        return Payload(body, _names(value), is_object=True)
    return _of_list(body, value)


def _of_list(body: bytes, value: Any) -> Payload:
    """An array of like objects. Numbers, texts and null hold no row at all."""
    if not isinstance(value, list) or not value:
        return Payload(b"[]", (), is_object=False)
    keys = value[0].keys() if isinstance(value[0], dict) else None
    if keys is None or not all(isinstance(item, dict) and item.keys() == keys for item in value):
        raise _invalid("All object keys must match")
    return Payload(body, _names(keys), is_object=False)


def _names(keys: Iterable[str]) -> tuple[str, ...]:
    """Names, sorted; of very many only so many that no table or function can have them all."""
    return tuple(sorted(islice(keys, _MOST_COLUMNS + 1)))


def _of_form(body: bytes, columns: tuple[str, ...] | None, *, for_call: bool) -> Payload:
    pairs = split_query(body)
    names = _names(columns or dict.fromkeys(name for name, _ in pairs))
    if for_call:
        return Payload(b"", names, is_object=True, whole=(), arguments=tuple(pairs))
    return Payload(orjson.dumps(dict(pairs)), names, is_object=True)


def _of_whole(body: bytes, kind: str) -> Payload:
    raw = b"\\x" + body.hex().encode() if kind == "bytea" else body
    return Payload(raw, (), is_object=False, whole=(kind,))


def _of_csv(body: bytes) -> bytes:
    """The rows of a table as JSON; its first line holds the names, and NULL stands for null."""
    try:
        names, *lines = [line for line in csv.reader(io.StringIO(body.decode()), strict=True) if line] or [[]]
    except (UnicodeDecodeError, csv.Error):
        raise _invalid("Empty or invalid csv") from None
    if any(len(line) != len(names) for line in lines):
        raise _invalid("All lines must have same number of fields")
    rows = [[None if value == "NULL" else value for value in line] for line in lines]
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows])


def _invalid(message: str) -> RestError:
    return RestError(400, "PGRST102", message)
