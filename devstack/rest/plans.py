"""What is to be done for a request: statements, how the transaction runs, and how to read the result."""

from dataclasses import dataclass
from typing import Literal

from devstack.rest.catalogue import Settings
from devstack.rest.errors import RestError, not_implemented
from devstack.rest.media import JSON, Media
from devstack.rest.payload import Payload
from devstack.rest.preferences import NONE, Preferences
from devstack.rest.query_string import Path, Query
from devstack.rest.ranges import ALL_ROWS, Window
from devstack.rest.sql import Statement
from devstack.rest.syntax import Embed, SelectField, SelectItem

ROWS = '"rest rows"'
"""What the rows of an answer are called in SQL: nothing that a column could be called as well."""

RESPONSE_SETTINGS = (
    "nullif(current_setting('response.headers', true), ''), nullif(current_setting('response.status', true), '')"
)
"""What SQL said about the response: the last columns of every main statement."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a request comes down to.

    The main statement yields one row: total, rows, body, response headers, response status, inserted rows.

    Attributes:
        main: the one statement that does the work.
        action: what the answer is for.
        target: the relation or function, as it is called in URLs.
        read_only: whether the transaction may only read.
        media: the form of the answer.
        preferences: what the client preferred.
        window: the rows that were asked for, before `max_rows`.
        estimate: a statement that explains how many rows there may be.
        settings, isolation: what a function wants set before it is called.
        has_body: whether the answer carries what `main` made.
        location_keys: the primary key whose values, in the body, become `Location`.
        merges: whether an insert updates the rows that are there already.
        applied: the kinds of preference that had a meaning, and are told as applied.
        query: the canonical query string.
    """

    main: Statement
    action: Literal["read", "insert", "update", "delete", "call"]
    target: str
    read_only: bool
    media: Media = JSON
    preferences: Preferences = NONE
    window: Window = ALL_ROWS
    estimate: Statement | None = None
    settings: Settings = ()
    isolation: str | None = None
    has_body: bool = True
    location_keys: tuple[str, ...] = ()
    merges: bool = False
    applied: tuple[str, ...] = ()
    query: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """A request as far as it is understood without the catalogue; `payload` is None where no body counts."""

    method: str
    schema: str
    name: str
    query: Query
    window: Window
    preferences: Preferences
    accept: str | None
    payload: Payload | None


def wanted_fields(items: tuple[SelectItem, ...]) -> tuple[SelectField, ...]:
    """The items of a select list.

    Raises:
        RestError: PGRST123 for an aggregate, 501 for another relation.
    """
    for item in items:
        if isinstance(item, Embed):
            raise not_implemented("resource embedding")
        if item.aggregate:
            raise RestError(400, "PGRST123", "Use of aggregate functions is not allowed")
    return tuple(item for item in items if isinstance(item, SelectField))


def check_levels(query: Query) -> None:
    """Refuse parameters for a relation that is not embedded.

    Raises:
        RestError: PGRST108.
    """
    levels: list[Path] = [path for path, _ in query.filters]
    levels += [path for path, _ in query.logic]
    levels += [*query.order, *query.limits, *query.offsets]
    levels += [(term.relation,) for terms in query.order.values() for term in terms if term.relation]
    for path in levels:
        if path:
            raise RestError(
                400,
                "PGRST108",
                f"'{path[0]}' is not an embedded resource in this request",
                hint=f"Verify that '{path[0]}' is included in the 'select' query parameter.",
            )


def check_preferences(preferences: Preferences) -> None:
    """Refuse what is not understood, if the client wants it so.

    Raises:
        RestError: PGRST122.
    """
    if preferences.strict and preferences.unknown:
        raise RestError(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(preferences.unknown)}",
        )


def rows_as_json(media: Media, item: str = ROWS, *, one: bool = False) -> str:
    """All of `item` as the text of a JSON array; as one value where that is wanted, or there can be but `one`."""
    one = one or media.singular
    rows = f"json_agg({item})->0" if one else f"json_agg({item})"
    if media.stripped:
        rows = f"json_strip_nulls({rows})"
    return f"coalesce(({rows})::text, '{'null' if one else '[]'}')"
