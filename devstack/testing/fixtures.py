"""The fixtures and settings of the pytest plugin."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.faults import Faults
from devstack.testing.project import Clock, Project, User
from devstack.testing.server import Server, running_server, serving_clone


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings that go into `pytest.ini` or `[tool.pytest.ini_options]`."""
    parser.addini(
        "devstack_migrations",
        "Folder of the app's migrations, relative to the root; seed.sql beside it is run too.",
        default="supabase/migrations",
    )
    parser.addini(
        "devstack_clock_sql",
        "Statement that moves the app's own clock in the database; %(seconds)s is how far it is ahead.",
        default="",
    )


@pytest.fixture(scope="session")
def devstack_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The database server of the whole run, with the app's migrations applied once."""
    migrations = request.config.rootpath / request.config.getini("devstack_migrations")
    if not migrations.is_dir():
        raise pytest.UsageError(f"there is no folder {migrations}; name yours with devstack_migrations in pytest.ini")
    programs = os.environ.get("DEVSTACK_POSTGRES_BIN")
    folder = tmp_path_factory.mktemp("devstack")
    with running_server(folder, migrations, Path(programs) if programs else None) as server:
        yield server


@pytest.fixture
def project(devstack_server: Server, tmp_path: Path) -> Iterator[Project]:
    """A running project whose database holds the app's migrations and seed, and nothing else."""
    with serving_clone(devstack_server, tmp_path / "media") as running:
        yield running


@pytest.fixture
def user(project: Project) -> User:
    """Somebody who has signed up and is signed in."""
    return project.sign_up()


@pytest.fixture
def faults(project: Project) -> Iterator[Faults]:
    """Faults to throw into the project's cron and net."""
    with Faults(project.superuser_url) as thrower:
        yield thrower


@pytest.fixture
def clock(project: Project, faults: Faults, request: pytest.FixtureRequest) -> Clock:
    """The project's clock, to be moved."""
    return Clock(faults, project.superuser_url, request.config.getini("devstack_clock_sql"))
