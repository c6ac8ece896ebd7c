"""The official Supabase CLI against a devstack database: it pushes, advises, inspects and generates types.

`make check` runs this file where npm is present; the CLI is installed once below `build/`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, Database

CLI = "supabase@3.1.0"
NPM = shutil.which("npm")

pytestmark = [
    pytest.mark.official_cli,
    pytest.mark.timeout(300),
    pytest.mark.skipif(NPM is None, reason="npm is not installed: the official CLI is left out"),
]


@pytest.fixture(scope="session")
def cli() -> Path:
    """The installed CLI."""
    folder = REPOSITORY / "build" / "npm" / CLI
    program = folder / "node_modules" / ".bin" / "supabase"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        assert NPM is not None
        command = [NPM, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-save", CLI]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with our supabase/, which the CLI may write into."""
    shutil.copytree(REPOSITORY / "supabase", tmp_path / "supabase")
    return tmp_path


def run(cli: Path, project: Path, database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(cli), *arguments, "--workdir", str(project), "--agent", "no", f"--remote={database.dsn()}"]
    environment = os.environ | {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def findings(cli: Path, project: Path, database: Database) -> list[dict[str, Any]]:
    answer = run(cli, project, database, "db", "advisors", "--level", "warn", "--output-format", "json")
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)["results"]
    return found


def test_the_cli_pushes_every_migration(cli: Path, project: Path, bare_database: Database) -> None:
    pushed = run(cli, project, bare_database, "db", "push", "--yes")
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    with bare_database.connect() as connection:
        rows = connection.execute("select version, name from supabase_migrations.schema_migrations order by 1")
        recorded = [f"{version}_{name}.sql" for version, name in rows]
    assert recorded == sorted(path.name for path in (REPOSITORY / "supabase" / "migrations").glob("*.sql"))


def test_the_cli_finds_what_devstack_applied_already_there(cli: Path, project: Path, database: Database) -> None:
    pushed = run(cli, project, database, "db", "push", "--yes")
    assert pushed.returncode == 0, pushed.stderr
    assert "up to date" in pushed.stdout + pushed.stderr


def test_the_advisors_find_nothing(cli: Path, project: Path, database: Database) -> None:
    assert [f"{finding['name']}: {finding['detail']}" for finding in findings(cli, project, database)] == []


def test_the_advisors_would_find_an_open_table(cli: Path, project: Path, database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table public.open_to_all (id int primary key); grant select on public.open_to_all to anon"
        )
    assert [finding["name"] for finding in findings(cli, project, database)] == ["rls_disabled_in_public"]


INSPECTIONS = (
    "db-stats", "replication-slots", "locks", "blocking", "outliers", "calls", "index-stats", "collation-drift",
    "long-running-queries", "bloat", "role-stats", "vacuum-stats", "table-stats", "traffic-profile", "toast-sizes",
    "xid-age",
)  # fmt: skip


def inspect(cli: Path, project: Path, database: Database, what: str) -> list[dict[str, Any]]:
    answer = run(cli, project, database, "inspect", "db", what, "--output-format", "json")
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)["rows"]
    return found


def test_every_inspection_is_answered(cli: Path, project: Path, database: Database) -> None:
    for what in INSPECTIONS:
        inspect(cli, project, database, what)


def test_the_inspector_sees_which_statements_ran(cli: Path, project: Path, database: Database) -> None:
    with database.connect("supabase_admin") as connection:
        connection.execute("select extensions.pg_stat_statements_reset()")  # the list shows only the most frequent
        for _ in range(30):
            connection.execute("select 'seen by the inspector'::text as a_name_that_nobody_else_uses")
    (call,) = [row for row in inspect(cli, project, database, "calls") if "a_name_that_nobody" in row["query"]]
    assert call["ncalls"] == "30"


@pytest.mark.parametrize(
    ("language", "expected"),
    [("typescript", "export type Database"), ("python", "class PublicJobs"), ("go", "type PublicJobsSelect struct")],
)
def test_types_are_generated_from_the_schema(
    cli: Path, project: Path, database: Database, language: str, expected: str
) -> None:
    generated = run(cli, project, database, "gen", "types", "--lang", language)
    assert generated.returncode == 0, generated.stderr
    assert expected in generated.stdout
    assert "job_attempts" in generated.stdout.lower() or "JobAttempts" in generated.stdout
