"""The binary language of PostgreSQL's `pgoutput` plugin (protocol version 1), turned into row changes.

Values stay the text PostgreSQL wrote: what they mean is the business of `values` and `filters`. A column whose
value the log does not hold (an unchanged TOASTed value, everything but the key of a deleted row) is absent.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Row = dict[str, str | None]
Kind = Literal["INSERT", "UPDATE", "DELETE"]

_KINDS: dict[int, Kind] = {ord("I"): "INSERT", ord("U"): "UPDATE", ord("D"): "DELETE"}
_BEGIN, _RELATION = ord("B"), ord("R")
_KEY, _NEW = ord("K"), ord("N")
_NULL, _TEXT = ord("n"), ord("t")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_U16, _U32, _I64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class Relation:
    """A published table as it was when the change was written.

    Attributes:
        oid: the table's number in the catalog.
        schema: its schema's name.
        name: its own name.
        columns: names in order; stored generated columns are not among them.
        identity: the columns that identify an old row; all of them with REPLICA IDENTITY FULL.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]
    identity: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One row inserted, updated or deleted by a committed transaction.

    Attributes:
        kind: what happened.
        relation: the table.
        new: the row afterwards; None for a DELETE.
        old: what is known of the row before; None for an INSERT.
        committed_at: time of the commit, ISO 8601 in UTC with milliseconds.
        xid: number of the transaction, 32 bits.
    """

    kind: Kind
    relation: Relation
    new: Row | None
    old: Row | None
    committed_at: str
    xid: int


class Decoder:
    """Decodes one stream. It remembers the tables the stream has described and the transaction it is in."""

    def __init__(self, wanted: Callable[[Relation], bool], on_relation: Callable[[Relation], None]) -> None:
        """Skip the rows of tables that are not `wanted`; call `on_relation` when a table is described anew."""
        self._wanted = wanted
        self._on_relation = on_relation
        self._relations: dict[int, Relation] = {}
        self._committed_at = ""
        self._xid = 0

    def decode(self, message: bytes) -> Change | None:
        """The change in `message`; None if it is about something else, or a table nobody wants."""
        tag = message[0]
        if tag in _KINDS:
            return self._change(_KINDS[tag], message)
        if tag == _BEGIN:
            self._committed_at = _timestamp(_I64.unpack_from(message, 9)[0])
            self._xid = _U32.unpack_from(message, 17)[0]
        elif tag == _RELATION:
            relation = _relation(message)
            self._relations[relation.oid] = relation
            self._on_relation(relation)
        return None

    def _change(self, kind: Kind, message: bytes) -> Change | None:
        relation = self._relations[_U32.unpack_from(message, 1)[0]]
        if not self._wanted(relation):
            return None
        old, position = _old_row(message, relation)
        new = _row(message, position + 1, relation)[0] if position < len(message) else None
        if kind == "UPDATE" and new is not None:
            old = _complete(old, new, relation)
        return Change(kind, relation, new, old, self._committed_at, self._xid)


def _old_row(message: bytes, relation: Relation) -> tuple[Row | None, int]:
    """The old row, if the message has one, and where the rest begins."""
    if message[5] == _NEW:
        return None, 5
    row, position = _row(message, 6, relation)
    if message[5] == _KEY:  # the other columns hold placeholders, which are not nulls
        row = {name: value for name, value in row.items() if name in relation.identity}
    return row, position


def _complete(old: Row | None, new: Row, relation: Relation) -> Row:
    """Fill each side of an UPDATE from the other: an unchanged value is written once."""
    if old is None:
        return {name: new[name] for name in relation.columns if name in relation.identity and name in new}
    for name, value in old.items():
        new.setdefault(name, value)
    return old


def _row(message: bytes, position: int, relation: Relation) -> tuple[Row, int]:
    row: Row = {}
    position += 2
    for name in relation.columns:
        tag = message[position]
        position += 1
        if tag == _TEXT:
            end = position + 4 + _U32.unpack_from(message, position)[0]
            row[name] = message[position + 4 : end].decode()
            position = end
        elif tag == _NULL:
            row[name] = None
    return row, position


def _relation(message: bytes) -> Relation:
    oid: int = _U32.unpack_from(message, 1)[0]
    schema, position = _name(message, 5)
    name, position = _name(message, position)
    count: int = _U16.unpack_from(message, position + 1)[0]
    position += 3
    columns, identity = [], set()
    for _ in range(count):
        flags = message[position]
        column, position = _name(message, position + 1)
        position += 8  # type and its modifier: the catalog knows more
        columns.append(column)
        if flags & 1:
            identity.add(column)
    return Relation(oid, schema or "pg_catalog", name, tuple(columns), frozenset(identity))


def _name(message: bytes, position: int) -> tuple[str, int]:
    end = message.index(0, position)
    return message[position:end].decode(), end + 1


def _timestamp(microseconds: int) -> str:
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
