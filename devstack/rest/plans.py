"""What is to be done for a request: statements, how the transaction runs, and how to read the result."""

# ruff: noqa: S608 - nothing of a user's gets into SQL here

from dataclasses import dataclass
from typing import Literal

from devstack.rest.catalogue import Settings
from devstack.rest.errors import RestError
from devstack.rest.media import JSON, Media
from devstack.rest.payload import Payload
from devstack.rest.preferences import NONE, Preferences
from devstack.rest.query_string import Query
from devstack.rest.ranges import ALL_ROWS, Window
from devstack.rest.sql import Statement

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
    action: Literal["read", "insert", "put", "update", "delete", "call"]
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


def answer_of(media: Media, item: str = ROWS, *, one: bool = False) -> str:
    """All of `item` as the text of the answer: a JSON array, one value where that is wanted or there can be but
    `one`, or lines of values under a line of names."""
    if media.table:
        names = f"select string_agg(k, ',') from json_object_keys(json_agg({ROWS})->0) k"
        lines = f"string_agg(substring({ROWS}::text, 2, length({ROWS}::text) - 2), E'\\n')"
        return f"coalesce(({names}), '') || E'\\n' || coalesce({lines}, '')"
    one = one or media.singular
    rows = f"json_agg({item})->0" if one else f"json_agg({item})"
    if media.stripped:
        rows = f"json_strip_nulls({rows})"
    return f"coalesce(({rows})::text, '{'null' if one else '[]'}')"
