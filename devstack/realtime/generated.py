"""Stored generated columns, which PostgreSQL 17 leaves out of the log.

Their expressions are immutable and read nothing but their own row, so the database can work the values out
again from the row in the log; the live row may have moved on.
"""

from collections.abc import Sequence

from psycopg import sql

from devstack.realtime.catalog import Column, Table
from devstack.realtime.database import AS_LOGGED, Database
from devstack.realtime.pgoutput import Change, Row


async def complete(changes: Sequence[tuple[Change, Table]], database: Database) -> None:
    """Add to the rows of `changes` the generated columns that can be worked out from what is there."""
    gaps = [gap for change, table in changes for row in (change.new, change.old) for gap in _gaps(table, row)]
    values = await database.evaluate_each([expression for _, _, expression in gaps])
    for (row, name, _), value in zip(gaps, values, strict=True):
        row[name] = value


def _gaps(table: Table, row: Row | None) -> list[tuple[Row, str, sql.Composable]]:
    missing = [column for column in table.columns if column.generated is not None]
    known = [column for column in table.columns if column.generated is None]
    if not missing or row is None or any(column.name not in row for column in known):
        return []
    return [(row, column.name, _expression(column, known, row)) for column in missing]


def _expression(column: Column, known: Sequence[Column], row: Row) -> sql.Composable:
    values = sql.SQL(", ").join(
        sql.SQL("{}::{} as {}").format(
            sql.Literal(row[other.name]), sql.SQL(other.full_type), sql.Identifier(other.name)
        )
        for other in known
    )
    value = sql.SQL("(select ({})::{} as v from (select {}) as r) as s").format(
        sql.SQL(column.generated or "null"), sql.SQL(column.full_type), values
    )
    return sql.SQL("(select case num_nulls(v) when 0 then {} end from {})").format(
        AS_LOGGED.format(sql.SQL("v")), value
    )
