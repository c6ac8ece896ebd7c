"""The real database behind every test: one server a run, one migrated template, one clone a test."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from devstack.cluster import Cluster, remove_cluster, start_cluster
from devstack.migrations import apply_migrations, find_migrations

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


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that does not wait for the disk; durability has tests of its own."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    folder = tmp_path_factory.mktemp("cluster")
    running = start_cluster(folder, settings=settings)
    try:
        running.clone("postgres", BARE)
        running.clone("postgres", MIGRATED)
        apply_migrations(running.dsn(MIGRATED), find_migrations(MIGRATIONS))
        yield running
    finally:
        running.stop(immediate=True)
        remove_cluster(folder)


@pytest.fixture
def bare_database(cluster: Cluster) -> Iterator[Database]:
    """A new hosted-like database without this project's migrations."""
    yield from _clone(cluster, BARE)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A database with this project's migrations."""
    yield from _clone(cluster, MIGRATED)


def _clone(cluster: Cluster, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    cluster.clone(template, name)
    try:
        yield Database(cluster, name)
    finally:
        cluster.drop(name)
