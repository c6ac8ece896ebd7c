"""The plugin for other apps' tests: its documented example runs as an app's own tests would, in a process apart."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

APP = REPOSITORY / "docs" / "examples" / "notes_app"
FILES = ["conftest.py", "pytest.ini", "test_notes.py", "supabase/migrations/20260101000000_notes.sql"]

ENGINE = """
def test_the_engine_s_clock_goes_with_cron_s(project, clock):
    clock.step(3600)
    clock.step(-60)
    with project.connect() as connection:
        (ahead,) = connection.execute("select extract(epoch from filaviva.now() - clock_timestamp())").fetchone()
    assert 3530 < ahead < 3541


def test_every_test_has_a_database_of_its_own(project):
    with project.connect() as connection:
        (ahead,) = connection.execute("select extract(epoch from filaviva.now() - clock_timestamp())").fetchone()
    assert abs(ahead) < 1


def test_net_is_troubled_on_purpose(project, faults):
    faults.net.drop()
    with project.connect() as connection:
        connection.execute("select net.http_get('http://127.0.0.1:9/')")
        while faults.pending():
            pass
        assert connection.execute("select count(*) from net.http_request_queue").fetchone() == (0,)
"""


def pytest_in(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, "-c", str(folder / "pytest.ini"), str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documented_example_passes() -> None:
    run = pytest_in(APP)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "5 passed" in run.stdout


@pytest.mark.parametrize("name", FILES)
def test_the_document_shows_the_example_that_is_tested(name: str) -> None:
    document = (REPOSITORY / "docs" / "testing.md").read_text()
    assert f"`{name}`\n" in document
    assert f"\n{(APP / name).read_text()}```" in document


def test_the_plugin_serves_this_project_with_the_setting_that_the_document_names(tmp_path: Path) -> None:
    document = (REPOSITORY / "docs" / "testing.md").read_text()
    (setting,) = [
        line for line in document.splitlines() if line.startswith("devstack_clock_sql = insert into filaviva")
    ]
    migrations = REPOSITORY / "supabase" / "migrations"
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\ndevstack_migrations = {migrations}\n{setting}\nasyncio_default_fixture_loop_scope = function\n"
    )
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["devstack.testing"]\n')
    (tmp_path / "test_engine.py").write_text(ENGINE)
    run = pytest_in(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_a_missing_migrations_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["devstack.testing"]\n')
    (tmp_path / "test_any.py").write_text("def test_any(project):\n    pass\n")
    run = pytest_in(tmp_path)
    assert run.returncode != 0
    assert "name yours with devstack_migrations in pytest.ini" in run.stdout + run.stderr
