"""supabase_vault's tables, functions and rights."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.conftest import Database


@pytest.fixture
def postgres(bare_database: Database) -> Iterator[psycopg.Connection]:
    with bare_database.connect() as connection:
        connection.execute("create extension if not exists supabase_vault")
        yield connection


def create(connection: psycopg.Connection, *values: object) -> UUID:
    places = ", ".join(["%s"] * len(values))
    row = connection.execute(f"select vault.create_secret({places})".encode(), values).fetchone()
    assert row is not None
    assert isinstance(row[0], UUID)
    return row[0]


def test_it_is_created_in_its_own_schema_whichever_way_it_is_written(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        connection.execute("create schema if not exists vault")
        connection.execute("create extension if not exists supabase_vault with schema vault")
        connection.execute("create extension if not exists supabase_vault")
        found = connection.execute("select extversion, extnamespace::regnamespace::text from pg_extension").fetchall()
    assert ("0.3.1", "vault") in found


def test_a_secret_is_read_back_through_the_view(postgres: psycopg.Connection) -> None:
    secret_id = create(postgres, "s3cr3t — ção", "token", "of the drain")
    row = postgres.execute("select id, name, description, decrypted_secret from vault.decrypted_secrets").fetchone()
    assert row == (secret_id, "token", "of the drain", "s3cr3t — ção")


def test_the_table_holds_no_secret_in_clear_text(postgres: psycopg.Connection) -> None:
    create(postgres, "canary", "one")
    create(postgres, "canary", "two")
    rows = [row[0] for row in postgres.execute("select s::text from vault.secrets s")]
    assert not any("canary" in row for row in rows)
    secrets = {row[0] for row in postgres.execute("select secret from vault.secrets")}
    assert len(secrets) == 2


def test_name_and_description_are_optional(postgres: psycopg.Connection) -> None:
    create(postgres, "a")
    create(postgres, "b")
    found = postgres.execute("select name, description from vault.secrets").fetchall()
    assert found == [(None, ""), (None, "")]


def test_an_update_changes_what_is_given_and_keeps_the_rest(postgres: psycopg.Connection) -> None:
    secret_id = create(postgres, "old", "name", "description")
    postgres.execute("select vault.update_secret(%s, 'new')", (secret_id,))
    postgres.execute("select vault.update_secret(%s, new_description => 'other')", (secret_id,))
    row = postgres.execute(
        "select decrypted_secret, name, description, updated_at > created_at from vault.decrypted_secrets"
    ).fetchone()
    assert row == ("new", "name", "other", True)


def test_an_update_of_nothing_says_nothing(postgres: psycopg.Connection) -> None:
    postgres.execute("select vault.update_secret(%s, 'new')", (uuid4(),))


def test_two_secrets_cannot_have_one_name(postgres: psycopg.Connection) -> None:
    create(postgres, "a", "name")
    with pytest.raises(psycopg.errors.UniqueViolation):
        create(postgres, "b", "name")


def test_a_secret_must_have_a_value(postgres: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        create(postgres, None, "name")


def test_postgres_and_service_role_read_and_delete_but_do_not_write_the_table(postgres: psycopg.Connection) -> None:
    create(postgres, "secret", "name")
    for role in ("postgres", "service_role"):
        postgres.execute(f"set role {role}".encode())
        assert postgres.execute("select decrypted_secret from vault.decrypted_secrets").fetchone() == ("secret",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            postgres.execute("insert into vault.secrets (secret) values ('x')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            postgres.execute("update vault.secrets set secret = 'x'")
    assert postgres.execute("delete from vault.secrets").rowcount == 1


def test_api_roles_are_kept_out_of_the_schema(postgres: psycopg.Connection) -> None:
    for role in ("anon", "authenticated"):
        postgres.execute(f"set role {role}".encode())
        for what in ("* from vault.decrypted_secrets", "* from vault.secrets", "vault.create_secret('x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema vault"):
                postgres.execute(f"select {what}".encode())
