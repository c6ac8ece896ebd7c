from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.cluster import Cluster, free_port, remove_cluster, start_cluster
from tests.conftest import Database


def test_postgres_is_not_a_superuser(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        assert connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_cluster(tmp_path)


def test_a_second_start_keeps_the_data(folder: Path) -> None:
    first = start_cluster(folder)
    with first.connect() as connection:
        connection.execute("create table kept (n int)")
    first.stop()
    second = start_cluster(folder)
    with second.connect() as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)
    second.stop()


def test_a_server_that_lost_its_owner_is_replaced(folder: Path) -> None:
    lost = start_cluster(folder)
    replacement = start_cluster(folder)
    assert lost.process.wait(timeout=5) is not None
    replacement.connect().close()
    replacement.stop()


def test_two_servers_run_side_by_side(folder: Path, cluster: Cluster) -> None:
    other = start_cluster(folder, port=free_port())
    assert other.port != cluster.port
    other.connect().close()
    other.stop()


def test_wrong_password_is_refused(cluster: Cluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(cluster.dsn().replace("postgres:postgres@", "postgres:wrong@"))
