"""Row-level security for subscribers: the database itself says, as each of them, which rows they can see."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
import psycopg
from psycopg import sql

from devstack.realtime.catalog import Table
from devstack.realtime.database import Database, is_connection_trouble
from devstack.realtime.pgoutput import Change

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 500  # viewers in one round trip

Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Everyone with the same role and claims sees the same rows, and is asked for once."""

    role: str
    claims: str


def key_of(table: Table, change: Change) -> Key:
    """The primary key of the row after the change."""
    row = change.new or {}
    return tuple(row.get(column.name) for column in table.key)


async def visible_rows(
    questions: Mapping[tuple[Table, Viewer], Iterable[Key]], database: Database
) -> set[tuple[int, Viewer, Key]]:
    """Which of the keys in question each viewer can see in the live table, as (table's number, viewer, key).

    A policy that raises hides the rows and is reported in the log.

    Raises:
        psycopg.OperationalError: the database went away.
    """
    alike: dict[tuple[Table, tuple[Key, ...]], list[Viewer]] = {}
    for (table, viewer), keys in questions.items():
        alike.setdefault((table, tuple(dict.fromkeys(keys))), []).append(viewer)
    seen: set[tuple[int, Viewer, Key]] = set()
    for (table, asked), viewers in alike.items():
        viewers.sort(key=lambda viewer: viewer.role)  # another role costs another plan
        question = _query(table, asked)
        for start in range(0, len(viewers), _MOST_AT_ONCE):
            found = await _seen(question, viewers[start : start + _MOST_AT_ONCE], database)
            seen.update((table.oid, viewer, asked[row]) for viewer, row in found)
    return seen


async def _seen(question: sql.Composed, viewers: Sequence[Viewer], database: Database) -> list[tuple[Viewer, int]]:
    """What each viewer sees of the rows in question; nothing for one whose policy fails."""
    listed = orjson.dumps([(viewer.role, viewer.claims) for viewer in viewers]).decode()
    call = sql.SQL("select * from realtime.visible_rows({}, {})").format(
        sql.Literal(question.as_string()), sql.Literal(listed)
    )
    try:
        [rows] = await database.rolled_back([call])
    except psycopg.Error as error:
        if is_connection_trouble(error):
            raise
        if len(viewers) > 1:  # somebody's policy is too slow: then each is asked alone
            return [found for viewer in viewers for found in await _seen(question, [viewer], database)]
        rows = [(0, None, str(error))]
    for number, _, failure in rows:
        if failure is not None:
            _log.warning("rows are hidden from role %s, whose check failed: %s", viewers[number].role, failure)
    return [(viewers[number], row) for number, row, failure in rows if failure is None]


def _query(table: Table, keys: Sequence[Key]) -> sql.Composed:
    """Typed constants, not parameters to cast: a cast is no leakproof operator and would keep the index unused."""
    names = [sql.Identifier(f"k{position}") for position in range(len(table.key))]
    values = sql.SQL(", ").join(
        sql.SQL("({})").format(
            sql.SQL(", ").join(
                [
                    sql.Literal(number),
                    *(
                        sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.full_type))
                        for column, value in zip(table.key, key, strict=True)
                    ),
                ]
            )
        )
        for number, key in enumerate(keys)
    )
    same = sql.SQL(" and ").join(
        sql.SQL("t.{} = k.{}").format(sql.Identifier(column.name), name)
        for column, name in zip(table.key, names, strict=True)
    )
    return sql.SQL("select k.n from (values {}) as k(n, {}) where exists (select from {} as t where {})").format(
        values, sql.SQL(", ").join(names), table.identifier, same
    )
