"""Column values as JSON text: what `to_jsonb` would make of them, without asking the database for the common types."""

import re
from collections.abc import Callable, Iterable, Mapping

import orjson
from psycopg import sql

from devstack.realtime.catalog import Column
from devstack.realtime.database import Database

_MOMENT = re.compile(r"\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(\+00)?")


class JsonValues:
    """Turns the values of one batch of changes into JSON; asks the database once for all it cannot know."""

    def __init__(self) -> None:
        """Start a batch."""
        self._known: dict[tuple[str, str], bytes] = {}

    async def prepare(self, values: Iterable[tuple[Column, str | None]], database: Database) -> None:
        """Learn the values of uncommon types (arrays, ranges, domains ...) in one question.

        What the database no longer accepts, as when a domain has become narrower, stays text.
        """
        asked = list(
            dict.fromkeys(
                (column.sql_type, text) for column, text in values if _local(column, text) is None and text is not None
            )
        )
        expressions = [sql.SQL("to_jsonb({}::{})").format(sql.Literal(text), sql.SQL(kind)) for kind, text in asked]
        answers = await database.evaluate_each(expressions)
        for (kind, text), answer in zip(asked, answers, strict=True):
            self._known[kind, text] = orjson.dumps(text) if answer is None else answer.encode()

    def json(self, column: Column, text: str | None) -> bytes:
        """The value as JSON; uncommon types must have been prepared."""
        local = _local(column, text)
        return self._known[column.sql_type, text or ""] if local is None else local


def _local(column: Column, text: str | None) -> bytes | None:
    """The value as JSON if that needs no database, else None."""
    if text is None:
        return b"null"
    if column.is_enum:
        return orjson.dumps(text)
    convert = _CONVERTERS.get(column.type_oid)
    return convert(text) if convert else None


def _verbatim(text: str) -> bytes:
    return text.encode()


def _number(text: str) -> bytes:
    return text.encode() if text[-1].isdigit() else b"null"  # NaN and the infinities have no JSON


def _boolean(text: str) -> bytes:
    return b"true" if text == "t" else b"false"


def _bytes(text: str) -> bytes:
    return orjson.dumps(text.removeprefix("\\x"))


def _moment(text: str) -> bytes | None:
    if not _MOMENT.fullmatch(text):
        return None
    iso = text.replace(" ", "T")
    return orjson.dumps(iso + ":00" if iso.endswith("+00") else iso)


_CONVERTERS: Mapping[int, Callable[[str], bytes | None]] = {
    16: _boolean,
    17: _bytes,
    20: _verbatim,
    21: _verbatim,
    23: _verbatim,
    700: _number,
    701: _number,
    1700: _number,
    114: _verbatim,
    3802: _verbatim,
    25: orjson.dumps,
    1043: orjson.dumps,
    2950: orjson.dumps,
    1114: _moment,
    1184: _moment,
}
