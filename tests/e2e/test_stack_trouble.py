"""Starts and stops that go wrong: odd folders, two at once, kills, databases of another version or beyond repair."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.cluster import SUPERUSER
from devstack.state import holder
from tests.e2e.stack_project import REPOSITORY, Project, make_project, wait_until


@pytest.fixture(scope="module")
def project_with_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    yield from make_project(tmp_path_factory.mktemp("trouble"))


@pytest.fixture
def project(project_with_database: Project) -> Iterator[Project]:
    """A stopped stack; its database is that of the test before, which makes starting quick."""
    yield project_with_database
    project_with_database.stop()


def as_superuser(project: Project, statement: str) -> None:
    url = project.variables()["DB_URL"].replace("//postgres:", f"//{SUPERUSER}:")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_up_prints_json_alone_when_asked(project: Project) -> None:
    started = project.run(*project.up_arguments(), "--detach", "--json")
    assert json.loads(started.stdout) == project.variables()
    assert json.loads(project.run("status", "--json").stdout) == project.variables()


def test_of_two_starts_at_once_one_wins_and_the_other_says_so(project: Project) -> None:
    starts = [project.begin(*project.up_arguments(), "--detach") for _ in range(2)]
    said = [start.communicate(timeout=50) for start in starts]
    codes = sorted(start.returncode for start in starts)
    assert codes == [0, 1], said
    assert any("a stack already runs" in complaint for _, complaint in said)
    assert project.run("status").returncode == 0


def test_a_stack_that_is_still_starting_can_be_stopped(project: Project) -> None:
    start = project.begin(*project.up_arguments())
    wait_until(lambda: holder(project.data_dir) is not None)
    assert project.run("stop").returncode == 0
    _, complaint = start.communicate(timeout=50)
    assert "Traceback" not in complaint
    assert holder(project.data_dir) is None


@pytest.mark.parametrize("moment", ["starting", "running"])
def test_whatever_a_kill_left_the_next_start_works(project: Project, moment: str) -> None:
    start = project.begin(*project.up_arguments())
    ready = project.data_dir / "state.json"
    wait_until(lambda: ready.exists() if moment == "running" else holder(project.data_dir) is not None)
    start.send_signal(signal.SIGKILL)
    start.communicate()
    if moment == "running":
        assert "was killed" in project.run("doctor", "--port", "0", "--db-port", "0").stdout
    project.up()
    assert project.run("status").returncode == 0


def test_a_database_of_another_version_is_named_and_reset_makes_it_new(project: Project) -> None:
    project.up()
    as_superuser(project, "comment on schema devstack is 'older'")
    project.stop()
    refused = project.run(*project.up_arguments())
    assert refused.returncode == 1
    assert "made by another version of devstack" in refused.stderr
    assert f"python -m devstack reset --data-dir {project.data_dir}" in refused.stderr
    assert project.run("reset", "--migrations", str(project.migrations)).returncode == 0
    project.up()


@pytest.mark.parametrize("name", ["uma publicação ✓", "l" * 200], ids=["odd", "long"])
def test_a_stack_runs_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    for project in make_project(tmp_path / name):
        project.up()
        assert project.run("status").returncode == 0
        assert project.run("stop", "--delete").returncode == 0
        assert [path.name for path in project.data_dir.iterdir()] in ([], ["cluster"])


def test_a_folder_that_cannot_be_written_is_an_error_in_words() -> None:
    command = [sys.executable, "-m", "devstack", "up", "--data-dir", "/proc/devstack"]
    refused = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (refused.returncode, "--data-dir" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)


def test_a_database_beyond_repair_says_how_to_begin_anew(tmp_path: Path) -> None:
    for project in make_project(tmp_path / "broken"):
        project.up()
        url = project.variables()["DB_URL"].replace("//postgres:", f"//{SUPERUSER}:")
        with psycopg.connect(url) as connection:
            (data,) = connection.execute("show data_directory").fetchone() or ("",)
        project.stop()
        (Path(data) / "global" / "pg_control").write_bytes(bytes(8192))
        refused = project.run(*project.up_arguments())
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
        assert f"python -m devstack stop --delete --data-dir {project.data_dir}" in refused.stderr
        assert project.run("stop", "--delete").returncode == 0
        project.up()


def test_a_missing_package_is_named() -> None:
    command = [sys.executable, "-S", "-m", "devstack", "status"]
    refused = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert "is missing here" in refused.stderr


def test_a_python_that_is_too_old_is_named() -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 10, 0, 'final', 0); sys.argv = ['devstack', 'status'];"
        " runpy.run_module('devstack', run_name='__main__')"
    )
    refused = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: devstack needs Python 3.11 or newer")
