"""The parts of a query string, parsed: what to select, filter and order by."""

from dataclasses import dataclass
from typing import Literal

JSON_ARROWS = ("->>", "->")


@dataclass(frozen=True, slots=True)
class JsonStep:
    """One arrow of a JSON path; an int is an index into an array, text a key."""

    arrow: str
    key: str | int


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or what a JSON path finds in it."""

    name: str
    path: tuple[JsonStep, ...] = ()


@dataclass(frozen=True, slots=True)
class SelectField:
    """One item of `select`; the field's name `*` stands for all columns."""

    field: Field
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None


@dataclass(frozen=True, slots=True)
class Embed:
    """Another relation inside `select`: `alias:relation!hint!inner(items)`, or spread with `...`."""

    relation: str
    items: tuple["SelectItem", ...]
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False


SelectItem = SelectField | Embed


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition.

    Attributes:
        field: what is compared.
        operator: the name in the query string: `eq`, `in`, `is`, `fts` …
        value: what it is compared with; several for `in`.
        negated: whether `not.` stood before it.
        modifier: `any` or `all` of a quantified operator, the language of a text search.
    """

    field: Field
    operator: str
    value: str | tuple[str, ...]
    negated: bool = False
    modifier: str | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions joined by `and` or `or`."""

    operator: Literal["and", "or"]
    terms: tuple["Condition", ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether an embedded relation has no rows, or with `negated` has some; `key` is its name in SQL."""

    key: str
    negated: bool = False


Condition = Filter | Logic | Presence


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One item of `order`; `relation` is set when it orders by an embedded relation's field."""

    field: Field
    direction: Literal["", "asc", "desc"] = ""
    nulls: Literal["", "nullsfirst", "nullslast"] = ""
    relation: str | None = None
