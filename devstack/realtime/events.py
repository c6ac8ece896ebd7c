"""The message about one change, cut down to what a role may read."""

from collections.abc import Iterator

import orjson

from devstack.realtime.catalog import Column, Table
from devstack.realtime.pgoutput import Change, Row
from devstack.realtime.values import JsonValues

_MOST_BYTES = 1_048_576
_KEPT_BYTES = 64  # of each value, when the whole is too large

NO_KEY = "Error 400: Bad Request, no primary key"
NOT_READABLE = "Error 401: Unauthorized"
TOO_LARGE = "Error 413: Payload Too Large"


def refusal(change: Change, table: Table, readable: frozenset[str]) -> str | None:
    """Why a role gets no content of this change, only an error; None if it may get the content."""
    if change.kind == "DELETE":
        return None
    if not table.key:
        return NO_KEY
    return None if table.key_names <= readable else NOT_READABLE


def refused(change: Change, error: str) -> orjson.Fragment:
    """The message that says why there is no content."""
    data = {**_heading(change), "commit_timestamp": None, "errors": [error], "columns": [], "record": {}}
    if change.kind == "UPDATE":
        data["old_record"] = {}
    return orjson.Fragment(orjson.dumps(data))


def described(
    change: Change, table: Table, readable: frozenset[str], select: frozenset[str] | None, values: JsonValues
) -> orjson.Fragment:
    """The message with the content: columns in `readable`, and of these only `select` and the key if it is given."""
    wanted = readable if select is None else readable & (select | table.key_names)
    columns = [column for column in table.columns if column.name in wanted]
    too_large = _size(change, table, values) > _MOST_BYTES
    data = {
        **_heading(change),
        "commit_timestamp": change.committed_at,
        "errors": [TOO_LARGE] if too_large else None,
        "columns": [{"name": column.name, "type": column.type_name} for column in columns],
    }
    limit = _KEPT_BYTES if too_large else None
    if change.new is not None:
        data["record"] = _record(change.new, columns, values, limit)
    if change.old is not None:
        if change.kind == "DELETE" and table.has_rls:
            columns = [column for column in columns if column.key_position is not None]
        data["old_record"] = _record(change.old, columns, values, limit)
    return orjson.Fragment(orjson.dumps(data))


def contents(change: Change, table: Table) -> Iterator[tuple[Column, str | None]]:
    """Every value of the change with its column."""
    for row in (change.new, change.old):
        if row is not None:
            yield from ((column, row[column.name]) for column in table.columns if column.name in row)


def _heading(change: Change) -> dict[str, object]:
    return {"schema": change.relation.schema, "table": change.relation.name, "type": change.kind}


def _record(row: Row, columns: list[Column], values: JsonValues, limit: int | None) -> dict[str, orjson.Fragment]:
    texts = ((column.name, values.json(column, row[column.name])) for column in columns if column.name in row)
    return {name: orjson.Fragment(text) for name, text in texts if limit is None or len(text) <= limit}


def _size(change: Change, table: Table, values: JsonValues) -> int:
    return sum(len(values.json(column, text)) for column, text in contents(change, table))
