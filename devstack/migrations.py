"""Apply `supabase/migrations` as role postgres, and record them as the official CLI does."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `<version>_<name>.sql`."""

    version: str
    name: str
    path: Path


class MigrationError(RuntimeError):
    """A migration failed; nothing of it was kept. The message names file, line and reason."""


def find_migrations(folder: Path) -> list[Migration]:
    """The migrations of `folder` in order of their versions."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        version, _, name = path.stem.partition("_")
        found.append(Migration(version, name, path))
    return found


def apply_migrations(dsn: str, migrations: Iterable[Migration]) -> list[Migration]:
    """Apply what `dsn` (role postgres) has not recorded yet; each file in one transaction.

    Returns:
        The migrations that were applied now.

    Raises:
        MigrationError: a file failed. Those before it stay applied.
    """
    applied = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        known = {row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")}
        for migration in migrations:
            if migration.version not in known:
                _apply(connection, migration)
                applied.append(migration)
    return applied


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    text = migration.path.read_text()
    try:
        with connection.transaction():
            connection.execute("set local search_path = public, extensions")
            connection.execute(text.encode())
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                (migration.version, migration.name, [text]),
            )
    except psycopg.Error as error:
        raise MigrationError(f"{migration.path.name}{_line_of(error, text)}: {_reason(error)}") from error


def _line_of(error: psycopg.Error, text: str) -> str:
    position = error.diag.statement_position
    if position is None:
        return ""
    return f", line {text.count(chr(10), 0, int(position) - 1) + 1}"


def _reason(error: psycopg.Error) -> str:
    parts = (
        error.diag.message_primary,
        error.diag.message_detail,
        error.diag.message_hint,
        error.diag.context,
    )
    return " — ".join(part for part in parts if part) or str(error)
