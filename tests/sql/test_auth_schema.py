"""Schema auth as migrations meet it: what postgres may do there, and the functions that policies ask."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege, InvalidTextRepresentation

from tests.conftest import Database

ANA, EVA = uuid.uuid4(), uuid.uuid4()


@contextmanager
def asking(database: Database, role: str, **settings: str) -> Iterator[psycopg.Connection]:
    """A transaction of the API: this role, with these settings (`__` stands for a dot)."""
    with database.connect("authenticator") as connection, connection.transaction():
        connection.execute("select set_config('role', %s, true)", (role,))
        for name, value in settings.items():
            connection.execute("select set_config(%s, %s, true)", (name.replace("__", "."), value))
        yield connection


def answers(connection: psycopg.Connection) -> Any:
    """What the four functions say."""
    return connection.execute("select auth.uid(), auth.role(), auth.email(), auth.jwt()").fetchone()


def insert_user(connection: psycopg.Connection, user: uuid.UUID) -> None:
    connection.execute("insert into auth.users (id, email) values (%s, %s)", (user, f"{user}@example.com"))


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_policies_learn_from_the_claims_who_is_calling(bare_database: Database, role: str) -> None:
    claims = {"sub": str(ANA), "role": role, "email": "ana@example.com", "app_metadata": {"filaviva_role": "operator"}}
    with asking(bare_database, role, request__jwt__claims=json.dumps(claims)) as connection:
        assert answers(connection) == (ANA, role, "ana@example.com", claims)


def test_a_claim_of_its_own_setting_goes_before_the_claims(bare_database: Database) -> None:
    claims = json.dumps({"sub": str(EVA), "role": "anon", "email": "eva@example.com"})
    settings = {
        "request__jwt__claim__sub": str(ANA),
        "request__jwt__claim__role": "authenticated",
        "request__jwt__claim__email": "ana@example.com",
    }
    with asking(bare_database, "authenticated", request__jwt__claims=claims, **settings) as connection:
        assert answers(connection)[:3] == (ANA, "authenticated", "ana@example.com")


def test_without_claims_nobody_is_calling(bare_database: Database) -> None:
    with asking(bare_database, "anon") as connection:
        assert answers(connection) == (None, None, None, None)


def test_empty_settings_are_no_claims(bare_database: Database) -> None:
    names = ("claims", "claim", "claim__sub", "claim__role", "claim__email")
    with asking(bare_database, "authenticated", **{f"request__jwt__{name}": "" for name in names}) as connection:
        assert answers(connection) == (None, None, None, None)


def test_claims_without_a_subject_are_nobody(bare_database: Database) -> None:
    with asking(bare_database, "anon", request__jwt__claims='{"role": "anon"}') as connection:
        assert answers(connection) == (None, "anon", None, {"role": "anon"})


def test_a_subject_that_is_no_uuid_is_an_error_and_not_nobody(bare_database: Database) -> None:
    with (
        pytest.raises(InvalidTextRepresentation),
        asking(bare_database, "authenticated", request__jwt__claims='{"sub": "ana"}') as connection,
    ):
        answers(connection)


def test_a_migration_can_refer_to_users_and_let_policies_ask_who_they_are(bare_database: Database) -> None:
    with bare_database.connect("postgres") as connection:
        connection.execute("""
            create table public.notes (
              owner uuid not null references auth.users (id) on delete cascade,
              words text
            );
            alter table public.notes enable row level security;
            create policy "owners read" on public.notes for select to authenticated
              using ((select auth.uid()) = owner);
            grant select on public.notes to authenticated;
        """)
        for user in (ANA, EVA):
            insert_user(connection, user)
            connection.execute("insert into public.notes values (%s, %s)", (user, str(user)))
        with asking(bare_database, "authenticated", request__jwt__claims=json.dumps({"sub": str(ANA)})) as reader:
            assert reader.execute("select words from public.notes").fetchall() == [(str(ANA),)]
        with pytest.raises(ForeignKeyViolation):
            connection.execute("insert into public.notes values (%s)", (uuid.uuid4(),))
        with bare_database.connect("supabase_auth_admin") as auth:
            auth.execute("delete from auth.users where id = %s", (ANA,))
        assert connection.execute("select owner from public.notes").fetchall() == [(EVA,)]


def test_a_migration_can_act_when_a_user_appears(bare_database: Database) -> None:
    with bare_database.connect("postgres") as connection:
        connection.execute("""
            create table public.profiles (id uuid primary key);
            create function public.greet() returns trigger language plpgsql security definer set search_path = ''
            as $$ begin insert into public.profiles values (new.id); return new; end $$;
            create trigger greet after insert on auth.users for each row execute function public.greet();
        """)
        with bare_database.connect("supabase_auth_admin") as auth:
            insert_user(auth, ANA)
        assert connection.execute("select id from public.profiles").fetchall() == [(ANA,)]


REBUILDING = (
    "create table auth.mine (id int)",
    "create function auth.mine() returns int language sql as 'select 1'",
    "create or replace function auth.uid() returns uuid language sql as 'select null::uuid'",
    "alter table auth.users add column mine int",
    "alter table auth.users disable row level security",
    "drop table auth.sessions",
)


def test_a_migration_cannot_rebuild_the_schema(bare_database: Database) -> None:
    with bare_database.connect("postgres") as connection:
        for statement in REBUILDING:
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)


def test_the_api_never_reads_the_tables(bare_database: Database) -> None:
    for role in ("anon", "authenticated", "service_role"):
        for table in ("users", "identities", "sessions", "refresh_tokens"):
            with pytest.raises(InsufficientPrivilege), asking(bare_database, role) as connection:
                connection.execute(f"select * from auth.{table}")


def test_row_level_security_keeps_the_tables_shut_even_after_a_careless_grant(bare_database: Database) -> None:
    with bare_database.connect("postgres") as connection:
        insert_user(connection, ANA)
        connection.execute("grant select on auth.users to authenticated")
        assert connection.execute("select count(*) from auth.users").fetchone() == (1,)
    with asking(bare_database, "authenticated") as reader:
        assert reader.execute("select count(*) from auth.users").fetchone() == (0,)


def test_everything_belongs_to_the_auth_server(bare_database: Database) -> None:
    with bare_database.connect("postgres") as connection:
        tables = connection.execute(
            "select relname, relrowsecurity, relowner::regrole::text from pg_class"
            " where relnamespace = 'auth'::regnamespace and relkind = 'r'"
        ).fetchall()
        functions = connection.execute(
            "select proname, provolatile, proowner::regrole::text from pg_proc"
            " where pronamespace = 'auth'::regnamespace"
        ).fetchall()
    owner = "supabase_auth_admin"
    names = ("users", "identities", "sessions", "refresh_tokens")
    assert set(tables) == {(name, True, owner) for name in names}
    assert set(functions) == {(name, "s", owner) for name in ("uid", "role", "email", "jwt")}


def test_a_user_is_confirmed_when_the_first_of_its_addresses_is(bare_database: Database) -> None:
    with bare_database.connect("postgres") as connection:
        insert_user(connection, ANA)
        connection.execute(
            "update auth.users set email_confirmed_at = '2026-02-01', phone_confirmed_at = '2026-01-01' where id = %s",
            (ANA,),
        )
        query = "select confirmed_at = '2026-01-01' from auth.users"
        assert connection.execute(query).fetchone() == (True,)


def test_one_address_belongs_to_one_user_except_behind_single_sign_on(bare_database: Database) -> None:
    insert = "insert into auth.users (id, email, is_sso_user) values (gen_random_uuid(), 'ana@example.com', %s)"
    with bare_database.connect("postgres") as connection:
        for sso in (True, True, False):
            connection.execute(insert, (sso,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(insert, (False,))
