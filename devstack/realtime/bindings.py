"""What one callback of a client asks for: an entry of `postgres_changes` in a join."""

import functools
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from devstack.realtime.filters import Condition, FilterError, parse_filter
from devstack.realtime.pgoutput import Change, Relation

ANY = "*"
_EVENTS = frozenset({"INSERT", "UPDATE", "DELETE"})
_FAILURE = "Unable to subscribe to changes with given parameters."


class SubscriptionError(Exception):
    """A subscription cannot be made, now or later; the message is what the subscriber is told."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One entry, understood.

    Attributes:
        id: number by which messages name it; the same for identical entries.
        event: INSERT, UPDATE, DELETE or `*`.
        schema: name of a schema or `*`; unless it is exact, a pattern in which `%` and `_` stand for others.
        table: the same of a table.
        conditions: terms of its filter; all must hold.
        select: columns to send beside the key; None for all.
        is_exact: the names are those of one table, and no patterns.
    """

    id: int
    event: str
    schema: str
    table: str
    conditions: tuple[Condition, ...] = ()
    select: frozenset[str] | None = None
    is_exact: bool = False

    def covers(self, relation: Relation) -> bool:
        """Whether the table is one it asks for."""
        if self.is_exact:
            return (self.schema, self.table) == (relation.schema, relation.name)
        return _is_like(relation.schema, self.schema) and _is_like(relation.name, self.table)

    def matches(self, change: Change) -> bool:
        """Whether table and event are what it asks for; conditions are another question."""
        return self.event in (ANY, change.kind) and self.covers(change.relation)

    def __str__(self) -> str:
        """The parameters as Realtime prints them."""
        terms = ", ".join(f'{{"{c.column}", "{c.op}", "{",".join(c.operands)}"}}' for c in self.conditions)
        select = "nil" if self.select is None else f"[{', '.join(sorted(self.select))}]"
        return (
            f"[event: {self.event}, schema: {self.schema}, table: {self.table}, filters: [{terms}], select: {select}]"
        )

    def not_published(self) -> SubscriptionError:
        """The refusal when no published table has these names."""
        return SubscriptionError(
            f"{_FAILURE} Please check Realtime is enabled for the given connect parameters: {self}"
        )

    def impossible(self, reason: str) -> SubscriptionError:
        """The refusal when the tables are there, but not what the entry says about them."""
        return SubscriptionError(
            f"{_FAILURE} An exception happened so please check your connect parameters: {self}. Exception: {reason}"
        )


def number_of(entry: Mapping[str, Any]) -> int:
    """The id of an entry as the client sent it: stable, and never 0, which the Python client takes for none."""
    return (zlib.crc32(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)) & 0x7FFFFFF) or 1


def parse_binding(entry: Mapping[str, Any]) -> Binding:
    """Understand one entry.

    Raises:
        SubscriptionError: it names neither schema nor table, or its filter or column list cannot be read.
    """
    schema, table = _name(entry, "schema"), _name(entry, "table")
    if schema is None and table is None:
        raise SubscriptionError(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "
            + orjson.dumps(entry).decode()
        )
    event = str(entry.get("event") or ANY).upper()
    binding = Binding(
        id=number_of(entry),
        event=event if event in _EVENTS else ANY,
        schema=schema or "public",
        table=table or ANY,
        conditions=_conditions(entry.get("filter")),
        select=_select(entry.get("select")),
    )
    if (binding.conditions or binding.select is not None) and ANY in (binding.schema, binding.table):
        raise binding.impossible("`filter` and `select` need the name of one schema and one table")
    return binding


@functools.lru_cache(maxsize=256)
def _is_like(name: str, pattern: str) -> bool:
    """Whether a name matches as in SQL, without an escape: Realtime looks tables up by LIKE, underscores and all."""
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(letter) or re.escape(letter) for letter in pattern)
    return pattern == ANY or re.fullmatch(expression, name, re.DOTALL) is not None


def _name(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) and value else None


def _conditions(value: Any) -> tuple[Condition, ...]:
    if value is not None and not isinstance(value, str):
        raise SubscriptionError(f"Error parsing `filter` params: expected text, got {orjson.dumps(value).decode()}")
    try:
        return parse_filter(value)
    except FilterError as error:
        raise SubscriptionError(str(error)) from error


def _select(value: Any) -> frozenset[str] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SubscriptionError(
            f"Error parsing `select` params: expected a list of column names, got {orjson.dumps(value).decode()}"
        )
    return frozenset(value)
