"""Row-level security for subscribers: the database itself says, as each of them, which rows they can see."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from devstack.realtime.catalog import Table
from devstack.realtime.database import Database, Question, is_connection_trouble
from devstack.realtime.pgoutput import Change

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 50  # viewers in one round trip

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
    asked = [(table, viewer, list(dict.fromkeys(keys))) for (table, viewer), keys in questions.items()]
    seen: set[tuple[int, Viewer, Key]] = set()
    for start in range(0, len(asked), _MOST_AT_ONCE):
        part = asked[start : start + _MOST_AT_ONCE]
        answers = await _answers(
            [Question(viewer.role, viewer.claims, _query(table, keys)) for table, viewer, keys in part], database
        )
        for (table, viewer, keys), rows in zip(part, answers, strict=True):
            seen.update((table.oid, viewer, keys[row[0]]) for row in rows)
    return seen


async def _answers(questions: Sequence[Question], database: Database) -> list[list[tuple[int]]]:
    """The rows of each question; none for one that fails, which then fails alone."""
    try:
        return await database.rows_as(questions)
    except psycopg.Error as error:
        if is_connection_trouble(error):
            raise
        if len(questions) == 1:
            _log.warning("rows are hidden from role %s, whose check failed: %s", questions[0].role, error)
            return [[]]
    return [rows for question in questions for rows in await _answers([question], database)]


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
