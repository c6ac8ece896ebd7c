"""A database tells by which version of devstack it was made."""

import psycopg
import pytest

from devstack.fingerprint import OldBootstrapError, check_bootstrap, fingerprint
from tests.conftest import Database


def test_a_new_database_is_marked_and_then_known(bare_database: Database) -> None:
    with bare_database.connect("supabase_admin") as connection:
        check_bootstrap(connection)
        check_bootstrap(connection)
        assert mark(connection) == fingerprint()


def test_a_database_of_another_version_is_refused(bare_database: Database) -> None:
    with bare_database.connect("supabase_admin") as connection:
        connection.execute("comment on schema devstack is 'another'")
        with pytest.raises(OldBootstrapError):
            check_bootstrap(connection)
        assert mark(connection) == "another"


def test_a_database_from_before_versions_were_marked_is_refused(bare_database: Database) -> None:
    with bare_database.connect("supabase_admin") as connection:
        connection.execute("drop schema devstack cascade")
        with pytest.raises(OldBootstrapError):
            check_bootstrap(connection)


def mark(connection: psycopg.Connection) -> object:
    row = connection.execute("select obj_description('devstack'::regnamespace, 'pg_namespace')").fetchone()
    return row and row[0]
