"""The query string as a whole: which parameter is a filter, an argument, a limit or something else."""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from devstack.rest.errors import RestError
from devstack.rest.filters import parse_filter, parse_logic
from devstack.rest.parser import parse_columns, parse_order, parse_path, parse_select
from devstack.rest.syntax import Condition, Field, Filter, Logic, OrderTerm, SelectItem

Path = tuple[str, ...]
"""Where a parameter applies: the names of embedded relations on the way; empty for the top level."""

_LEVELLED = ("order", "limit", "offset", "and", "or")
_RESERVED = ("select", "columns", "on_conflict")
_ANY_FIELD = Field("")
_NUMBER = re.compile(r"-?[0-9]{1,100}", re.ASCII)


@dataclass(slots=True)
class Query:
    """A parsed query string.

    Attributes:
        select: what is wanted; empty for all columns.
        filters, logic: conditions and the level they apply to.
        order, limits, offsets: by level.
        columns: what to write, of all the body says; None when not given.
        on_conflict: the columns of an upsert's unique key; None when not given.
        arguments: of a function that is called with GET or HEAD.
        canonical: the string with its parameters sorted, for `Content-Location`.
    """

    select: tuple[SelectItem, ...] = ()
    filters: list[tuple[Path, Filter]] = field(default_factory=list)
    logic: list[tuple[Path, Logic]] = field(default_factory=list)
    order: dict[Path, tuple[OrderTerm, ...]] = field(default_factory=dict)
    limits: dict[Path, int] = field(default_factory=dict)
    offsets: dict[Path, int] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    arguments: list[tuple[str, str]] = field(default_factory=list)
    canonical: str = ""

    @property
    def conditions(self) -> list[tuple[Path, Condition]]:
        """Filters and logic, which are the same but for their looks."""
        return [*self.filters, *self.logic]


def parse_query(raw: bytes, *, with_arguments: bool = False) -> Query:
    """Parse a query string. Parameters without `=` say nothing.

    Args:
        raw: as it stands in the URL.
        with_arguments: parameters that are not filters are arguments of a function.

    Raises:
        RestError: PGRST100, with the position where the text stops making sense.
    """
    pairs = split_query(raw)
    query = Query(canonical="&".join(f"{quote(key, '')}={quote(value, '')}" for key, value in sorted(pairs)))
    for key, value in split_query(b"&".join(part for part in raw.split(b"&") if b"=" in part)):
        last = key.rpartition(".")[2]
        if key in _RESERVED:
            _take_reserved(query, key, value)
        elif last in _LEVELLED:
            _take_levelled(query, key, last, value)
        elif with_arguments and "." not in key and not _is_filter(value):
            query.arguments.append((key, value))
        else:
            path, target = parse_path(key)
            query.filters.append((path, parse_filter(target, value)))
    return query


def split_query(raw: bytes) -> list[tuple[str, str]]:
    """Names and values, decoded once; a parameter without `=` has an empty value."""
    pairs = []
    for part in raw.replace(b"+", b" ").split(b"&"):
        if part:
            key, _, value = part.partition(b"=")
            pairs.append((_decode(key), _decode(value)))
    return pairs


def _decode(text: bytes) -> str:
    return unquote_to_bytes(text).replace(b"\0", b"").decode("utf-8", "replace")


def _take_reserved(query: Query, key: str, value: str) -> None:
    """Of a reserved parameter that is repeated, the first counts."""
    if key == "select":
        query.select = query.select or parse_select(value)
    elif key == "columns" and query.columns is None:
        query.columns = parse_columns(value, "columns")
    elif key == "on_conflict" and query.on_conflict is None:
        query.on_conflict = parse_columns(value, "on_conflict")


def _take_levelled(query: Query, key: str, last: str, value: str) -> None:
    if last in ("and", "or"):
        query.logic.append(parse_logic(key, value))
        return
    path = parse_path(key)[0]
    if last == "order":
        query.order[path] = parse_order(value)
    elif (number := _whole_number(value)) is not None:
        (query.limits if last == "limit" else query.offsets)[path] = number


def _whole_number(text: str) -> int | None:
    """A number, or None for what is not one, which then counts as not given."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _is_filter(value: str) -> bool:
    """Whether a value reads `operator.value`: what decides between a filter and an argument."""
    try:
        parse_filter(_ANY_FIELD, value)
    except RestError:
        return False
    return True
