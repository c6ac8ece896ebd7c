"""The real database behind every test: one server a run, one migrated template, one clone a test."""

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from devstack.cluster import Cluster, remove_cluster, start_cluster
from devstack.migrations import apply_migrations, find_migrations
from tests.sql.oldest_pgmq import install_oldest_pgmq

REPOSITORY = Path(__file__).parent.parent
MIGRATIONS = REPOSITORY / "supabase" / "migrations"
BARE, MIGRATED = "template_bare", "template_migrated"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test's own."""

    cluster: Cluster
    name: str

    def dsn(self, user: str = "postgres") -> str:
        """Connection URL as `user`."""
        return self.cluster.dsn(self.name, user)

    def connect(self, user: str = "postgres") -> psycopg.Connection:
        """A new autocommit connection as `user`."""
        return self.cluster.connect(self.name, user)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--oldest-pgmq`: run on pgmq as hosted projects have it, not on the newest."""
    parser.addoption("--oldest-pgmq", action="store_true", help="migrate on pgmq 1.5.1, as hosted projects have it")


def postgres_bin() -> Path | None:
    """The PostgreSQL to test on: that of DEVSTACK_POSTGRES_BIN, or None for the packaged one."""
    chosen = os.environ.get("DEVSTACK_POSTGRES_BIN")
    return Path(chosen) if chosen else None


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that does not wait for the disk; durability has tests of its own.

    Nor does it compile queries, as Debian's does: for a database of one test that takes longer than they run.
    """
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "jit": "off"}
    folder = _folder_in_memory() or tmp_path_factory.mktemp("cluster")
    running = start_cluster(folder, settings=settings, postgres_bin=postgres_bin())
    try:
        running.clone("postgres", BARE)
        running.clone("postgres", MIGRATED)
        if pytestconfig.getoption("oldest_pgmq"):
            with running.connect(MIGRATED) as admin:
                install_oldest_pgmq(admin)
        apply_migrations(running.dsn(MIGRATED), find_migrations(MIGRATIONS))
        yield running
    finally:
        running.stop(immediate=True)
        remove_cluster(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bare_database(cluster: Cluster) -> Iterator[Database]:
    """A new hosted-like database without this project's migrations."""
    yield from _clone(cluster, BARE)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A database with this project's migrations."""
    yield from _clone(cluster, MIGRATED)


def _folder_in_memory() -> Path | None:
    """A folder in shared memory, where cloning a database takes a tenth of the time; None without one."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 2 << 30:
        return None
    for left in memory.glob("filaviva-tests-*"):  # of a run that was killed
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = memory / f"filaviva-tests-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder


def _clone(cluster: Cluster, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    cluster.clone(template, name)
    try:
        yield Database(cluster, name)
    finally:
        cluster.drop(name)
