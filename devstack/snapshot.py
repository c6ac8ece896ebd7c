"""Write a migrated database as one readable file an object, for review: `python -m devstack.snapshot`.

Migrations are append-only and made for machines; this is what they add up to, so that a change of
a function shows as a difference of that function. The files are generated: nobody edits them.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from devstack.cluster import Cluster, remove_cluster, start_cluster
from devstack.migrations import apply_migrations, find_migrations

SCHEMAS = ("public", "filaviva")

_ENTRY = re.compile(
    r"^-- Name: (?P<name>.*); Type: (?P<type>[A-Z ]+); Schema: (?P<schema>[\w-]+); Owner: .*$", re.MULTILINE
)
_TABLE_OF = re.compile(r"\b(?:ON|TABLE(?: ONLY)?) (?:public|filaviva)\.(\w+)")
_OWNER = re.compile(r"^ALTER .* OWNER TO .*;\n", re.MULTILINE)
_FOLDERS = {"TABLE": "tables", "VIEW": "views", "FUNCTION": "functions", "TYPE": "types", "SEQUENCE": "sequences"}


def write_snapshot(cluster: Cluster, database: str, folder: Path) -> None:
    """Replace `folder` by one file for each table, view, function, type and sequence of `database`."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in sorted(snapshot(cluster, database).items()):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def snapshot(cluster: Cluster, database: str) -> dict[str, str]:
    """The files of a snapshot: path below the snapshot's folder → text."""
    files: dict[str, list[str]] = defaultdict(list)
    entries = list(_entries(_dump(cluster, database)))
    views = {name for kind, _, name, _ in entries if kind == "VIEW"}
    for kind, schema, name, body in entries:
        place = _place(kind, schema, name, body, views)
        if place:
            files[place].append(body)
    return {path: "\n\n".join(bodies) + "\n" for path, bodies in files.items()}


def _dump(cluster: Cluster, database: str) -> str:
    command = [str(cluster.home / "bin" / "pg_dump"), "--schema-only", f"--dbname={cluster.dsn(database)}"]
    command += [f"--schema={schema}" for schema in SCHEMAS]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603


def _entries(dump: str) -> Iterator[tuple[str, str, str, str]]:
    """(type, schema, name, SQL) of every entry of a dump, without its bookkeeping."""
    marks = list(_ENTRY.finditer(dump))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = dump[mark.end() : following.start() if following else len(dump)]
        lines = [line for line in body.splitlines() if not line.startswith(("--", "SET ", "\\"))]
        text = _OWNER.sub("", "\n".join(lines) + "\n").strip()
        if text:
            yield mark["type"], mark["schema"], mark["name"], text


def _place(kind: str, schema: str, name: str, body: str, views: set[str]) -> str | None:
    """The file an entry belongs to: its own, or that of the object it speaks of."""
    if kind in {"ACL", "COMMENT"}:
        kind, _, name = name.partition(" ")
        if kind == "COLUMN":
            kind, name = "TABLE", name.partition(".")[0]
    elif kind not in _FOLDERS and (table := _TABLE_OF.search(body)):
        kind, name = "TABLE", table[1]
    if kind == "TABLE" and name in views:  # what a dump says of a view, it says as of a table
        kind = "VIEW"
    folder = _FOLDERS.get(kind)
    return f"{folder}/{schema}.{name.partition('(')[0]}.sql" if folder else None


def main() -> None:
    """Migrate a scratch database and write its snapshot to supabase/schema."""
    folder = Path("supabase/schema")
    with tempfile.TemporaryDirectory() as scratch:
        cluster = start_cluster(Path(scratch), settings={"fsync": "off"})
        try:
            apply_migrations(cluster.dsn(), find_migrations(Path("supabase/migrations")))
            write_snapshot(cluster, "postgres", folder)
        finally:
            cluster.stop(immediate=True)
            remove_cluster(Path(scratch))
    sys.stdout.write(f"{len(list(folder.rglob('*.sql')))} files in {folder}\n")


if __name__ == "__main__":
    main()
