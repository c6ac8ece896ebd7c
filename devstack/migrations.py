"""Apply `supabase/migrations` as role postgres, and record them as the official CLI does."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.pq import ExecStatus

_TOKEN = re.compile(
    r"""(?P<blank> \s+ | --[^\n]* | /\*.*?\*/ ) | (?P<end> ; )
      | [eE]'(?:\\.|[^'\\])*' | '[^']*' | "[^"]*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | .""",
    re.VERBOSE | re.DOTALL,
)
"""Just enough of SQL's lexer to see where a statement ends."""


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


def apply_seed(dsn: str, path: Path) -> bool:
    """Run the seed file as role postgres, once in the life of a database.

    Returns:
        Whether it ran now. A file that does not exist, or was recorded earlier, does not.

    Raises:
        MigrationError: a statement failed; nothing of the file was kept.
    """
    if not path.exists():
        return False
    text = path.read_text()
    name = f"{path.parent.name}/{path.name}"
    with psycopg.connect(dsn, autocommit=True) as connection, connection.transaction():
        connection.execute(
            "create table if not exists supabase_migrations.seed_files (path text primary key, hash text not null)"
        )
        known = connection.execute("select from supabase_migrations.seed_files where path = %s", (name,)).fetchone()
        if known is not None:
            return False
        _run(connection, path, text)
        connection.execute(
            "insert into supabase_migrations.seed_files (path, hash) values (%s, %s)",
            (name, hashlib.sha256(text.encode()).hexdigest()),
        )
    return True


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    text = migration.path.read_text()
    with connection.transaction():
        connection.execute("set local search_path = public, extensions")
        _run(connection, migration.path, text)
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
            (migration.version, migration.name, [text]),
        )


def _run(connection: psycopg.Connection, path: Path, text: str) -> None:
    """Execute a file of statements, counting them, so that the one that fails can be found again."""
    connection.pgconn.send_query(text.encode())
    done = 0
    error: psycopg.Error | None = None
    while (result := connection.pgconn.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            error = psycopg.errors.error_from_result(result, connection.info.encoding)
        elif result.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT):
            connection.close()  # the server waits for data that a file of statements does not carry
            raise MigrationError(f"{path.name}: copy from stdin or to stdout needs psql; write insert statements")
        else:
            done += 1
    if error is not None:
        raise MigrationError(f"{path.name}{_place_of(error, text, done)}: {_reason(error)}") from error


def _place_of(error: psycopg.Error, text: str, done: int) -> str:
    """Where the server saw the error, or else where its statement begins."""
    position = error.diag.statement_position
    if position is not None:
        offset = int(position) - 1
    elif "begin atomic" in text.lower():  # such a body has semicolons of its own; better no line than a wrong one
        return ""
    else:
        offset = _statement_offset(text, done)
    return f", line {text.count(chr(10), 0, offset) + 1}"


def _statement_offset(text: str, number: int) -> int:
    """Where the statement begins that `number` others come before."""
    start: int | None = None
    for token in _TOKEN.finditer(text):
        if token["blank"]:
            continue
        if not token["end"]:
            start = token.start() if start is None else start
        elif start is not None:
            if number == 0:
                break
            number, start = number - 1, None
    return start or 0


def _reason(error: psycopg.Error) -> str:
    parts = (
        error.diag.message_primary,
        error.diag.message_detail,
        error.diag.message_hint,
        error.diag.context,
    )
    return " — ".join(part for part in parts if part) or str(error)
