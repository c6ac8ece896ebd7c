from pathlib import Path

import pytest

from devstack.snapshot import snapshot
from tests.conftest import REPOSITORY, Database

SCHEMA = REPOSITORY / "supabase" / "schema"
WRITTEN_BY = 17


def test_the_snapshot_is_not_stale(database: Database) -> None:
    with database.connect() as connection:
        if connection.info.server_version // 10_000 != WRITTEN_BY:
            pytest.skip(f"the snapshot says it in the words of PostgreSQL {WRITTEN_BY}")
    written = {str(path.relative_to(SCHEMA)): path.read_text() for path in SCHEMA.rglob("*.sql")}
    fresh = snapshot(database.cluster, database.name)
    assert sorted(written) == sorted(fresh), "run `make snapshot`"
    stale = [name for name, text in fresh.items() if written[name] != text]
    assert stale == [], "run `make snapshot`"


def test_every_object_has_its_file(database: Database) -> None:
    with database.connect() as connection:
        names = {
            f"functions/{row[0]}.{row[1]}.sql"
            for row in connection.execute(
                "select pronamespace::regnamespace::text, proname from pg_proc"
                " where pronamespace in ('public'::regnamespace, 'filaviva'::regnamespace)"
            )
        }
    assert names <= {str(path.relative_to(SCHEMA)) for path in Path(SCHEMA).rglob("*.sql")}
