from pathlib import Path

import pytest

from devstack.migrations import MigrationError, apply_migrations, apply_seed, find_migrations
from tests.conftest import Database

FAILURES = {
    "an unknown name": ("select 1;\n\nselect *\nfrom nowhere;", "line 4: relation "),
    "a lack of rights": ("create table a ();\n\n  alter role anon superuser;\nselect 1;", "line 3: permission denied"),
    "a fault while running": ("select 1;\nselect 1 / 0;", "line 2: division by zero"),
    "after text with semicolons": (
        "-- a; b\n/* ; */ select ';', E'\\';', $$;$$, $x$ ; $x$ as \"a;\";\nselect 1 / 0",
        "line 3: division by zero",
    ),
    "a message of its own": (
        "select 1;\ndo $$ begin raise exception 'no' using hint = 'do not'; end $$;",
        "line 2: no — do not — PL/pgSQL function inline_code_block line 1 at RAISE",
    ),
    "copy, which needs a client": ("create table c ();\ncopy c to stdout;", "write insert statements"),
}


def write(folder: Path, name: str, sql: str) -> Path:
    file = folder / name
    file.write_text(sql)
    return file


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_names_file_line_and_reason_and_keeps_nothing(
    bare_database: Database, tmp_path: Path, failure: str
) -> None:
    sql, message = FAILURES[failure]
    write(tmp_path, "1_good.sql", "create table good ();")
    write(tmp_path, "2_bad.sql", f"create table bad (); {sql}")
    with pytest.raises(MigrationError) as raised:
        apply_migrations(bare_database.dsn(), find_migrations(tmp_path))
    assert str(raised.value).startswith("2_bad.sql")
    assert message in str(raised.value)
    with bare_database.connect() as connection:
        kept = connection.execute("select to_regclass('good') is not null, to_regclass('bad') is null").fetchone()
        assert kept == (True, True)
        assert connection.execute("select version from supabase_migrations.schema_migrations").fetchall() == [("1",)]


def test_no_line_is_better_than_a_wrong_one(bare_database: Database, tmp_path: Path) -> None:
    body = "create function f() returns int language sql begin atomic select 1; select 2; end;\n"
    write(tmp_path, "1_bad.sql", body + "select 1 / 0;")
    with pytest.raises(MigrationError, match=r"^1_bad.sql: division by zero"):
        apply_migrations(bare_database.dsn(), find_migrations(tmp_path))


def test_only_what_is_new_is_applied(bare_database: Database, tmp_path: Path) -> None:
    write(tmp_path, "1_one.sql", "create table one ();")
    assert [m.name for m in apply_migrations(bare_database.dsn(), find_migrations(tmp_path))] == ["one"]
    write(tmp_path, "2_two.sql", "create table two ();")
    assert [m.name for m in apply_migrations(bare_database.dsn(), find_migrations(tmp_path))] == ["two"]


def test_the_seed_runs_once_and_is_recorded_as_the_official_cli_does(bare_database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "supabase"
    folder.mkdir()
    assert not apply_seed(bare_database.dsn(), folder / "seed.sql")
    seed = write(folder, "seed.sql", "create table seeded as select 1 as n;")
    assert [apply_seed(bare_database.dsn(), seed), apply_seed(bare_database.dsn(), seed)] == [True, False]
    with bare_database.connect() as connection:
        recorded = connection.execute("select path, length(hash) from supabase_migrations.seed_files").fetchall()
    assert recorded == [("supabase/seed.sql", 64)]


def test_a_seed_that_fails_is_tried_again_at_the_next_start(bare_database: Database, tmp_path: Path) -> None:
    seed = write(tmp_path, "seed.sql", "select 1 / 0;")
    with pytest.raises(MigrationError, match=r"seed.sql, line 1: division by zero"):
        apply_seed(bare_database.dsn(), seed)
    seed.write_text("select 1;")
    assert apply_seed(bare_database.dsn(), seed)
