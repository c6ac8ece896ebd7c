"""Connected accounts: their tokens cannot be had by any road a client has, and only their owner lets them go."""

import json
import uuid

import psycopg
import pytest

from tests.sql.conftest import Engine

TOKENS = {"access_token": "canary-access", "refresh_token": "canary-refresh"}


def connect(engine: Engine, user: uuid.UUID, platform: str = "tiktok", **more: object) -> str:
    """An account, connected as the callback does it."""
    arguments = {"kind": "person", "extra": {"page_id": "7"}, "scopes": ["publish"], "expires_at": None, **more}
    return str(
        engine.call("connect_account", user, platform, "open-1", "Alice", TOKENS, *arguments.values()),
    )


def as_user(user: uuid.UUID) -> dict[str, str]:
    return {"role": "authenticated", "sub": str(user)}


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    "statement",
    [
        "select public.account_credentials(%(user)s, 'tiktok')",
        "select filaviva.account_credentials(%(user)s, 'tiktok')",
        "select public.begin_refresh(%(account)s, 1, 60)",
        'select public.store_refreshed(%(account)s, 1, \'{"access_token": "mine"}\')',
        "select public.take_connection('tiktok', repeat('a', 64), repeat('b', 64))",
        "select filaviva.credentials_of(a) from public.social_accounts a",
        "select filaviva.secret('social_account:' || %(account)s)",
        "select * from filaviva.account_tokens",
        "select * from filaviva.account_connections",
        "select * from vault.secrets",
        "select * from vault.decrypted_secrets",
        "update public.social_accounts set status = 'connected'",
        "delete from public.social_accounts",
        "insert into public.social_accounts (user_id, platform, external_id, display_name)"
        " values (%(user)s, 'x', '1', 'me')",
    ],
)
def test_no_client_reaches_a_token_or_writes_an_account(
    engine: Engine, alice: uuid.UUID, role: str, statement: str
) -> None:
    account = connect(engine, alice)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role(role, as_user(alice) | {"role": role}):
        engine.connection.execute(statement, {"user": str(alice), "account": account})


def test_the_owner_reads_every_column_of_an_account_and_no_token(
    engine: Engine, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    connect(engine, alice)
    for user, seen in ((alice, 1), (bob, 0)):
        with engine.as_role("authenticated", as_user(user)):
            rows = engine.connection.execute("select to_jsonb(a) from public.social_accounts a").fetchall()
        assert len(rows) == seen
        assert "canary" not in json.dumps(rows)
    (row,) = engine.connection.execute("select kind, extra, scopes, version from public.social_accounts").fetchall()
    assert row == ("person", {"page_id": "7"}, ["publish"], 1)


def test_the_worker_gets_the_account_with_its_tokens(engine: Engine, alice: uuid.UUID) -> None:
    account = connect(engine, alice, expires_at="2026-12-01T00:00:00Z")
    credentials = engine.call("account_credentials", alice, "tiktok")
    assert credentials == TOKENS | {
        "account_id": account,
        "external_id": "open-1",
        "display_name": "Alice",
        "status": "connected",
        "kind": "person",
        "extra": {"page_id": "7"},
        "expires_at": "2026-12-01T00:00:00+00:00",
        "token_version": 1,
    }


def test_an_account_is_connected_with_five_arguments_as_before(engine: Engine, alice: uuid.UUID) -> None:
    assert engine.call("connect_account", alice, "tiktok", "open-1", "Alice", TOKENS)
    credentials = engine.call("account_credentials", alice, "tiktok")
    assert (credentials["kind"], credentials["extra"], credentials["expires_at"]) == ("", {}, None)


def test_what_the_platform_says_beside_the_tokens_cannot_pass_for_the_account(engine: Engine, alice: uuid.UUID) -> None:
    engine.call(
        "connect_account", alice, "tiktok", "open-1", "Alice", TOKENS | {"external_id": "another", "status": "x"}
    )
    credentials = engine.call("account_credentials", alice, "tiktok")
    assert (credentials["external_id"], credentials["status"]) == ("open-1", "connected")


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "user_token", "client_secret"])
def test_a_secret_among_the_public_facts_is_refused(engine: Engine, alice: uuid.UUID, name: str) -> None:
    for extra in ({name: "canary"}, {"choices": [{"id": "1", name: {"deep": "canary"}}]}):
        with pytest.raises(psycopg.Error, match="p_extra") as refused:
            connect(engine, alice, extra=extra)
        assert "canary" not in f"{refused.value} {refused.value.diag.message_detail} {refused.value.diag.context}"
        with pytest.raises(psycopg.errors.CheckViolation, match="extra_holds_no_secret"):
            engine.connection.execute(
                "insert into public.social_accounts (user_id, platform, external_id, display_name, extra)"
                " values (%s, 'x', '1', 'Ana', %s)",
                (alice, json.dumps(extra)),
            )


def test_an_account_is_never_connected_without_a_token(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.DatabaseError) as refused:
        engine.call("connect_account", alice, "tiktok", "open-1", "Alice", {"access_token": ""})
    assert (refused.value.sqlstate, refused.value.diag.message_detail) == ("PT400", "invalid_field")


def test_two_users_may_have_the_same_account_and_each_their_own_tokens(
    engine: Engine, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    """Both have signed in at the platform as its owner; neither sees or ends what the other has."""
    hers = connect(engine, alice)
    his = str(engine.call("connect_account", bob, "tiktok", "open-1", "Alice", {"access_token": "his"}))
    assert hers != his
    assert engine.call("account_credentials", alice, "tiktok")["access_token"] == "canary-access"
    engine.call("mark_reconnect", his, 1, "token_refused")
    engine.call_as(bob, "disconnect_account", his)
    credentials = engine.call("account_credentials", alice, "tiktok")
    assert (credentials["access_token"], credentials["status"]) == ("canary-access", "connected")


def test_only_the_owner_disconnects_an_account(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    account = connect(engine, alice)
    for caller in (bob, None):
        with pytest.raises(psycopg.DatabaseError) as refused:
            engine.call_as(caller, "disconnect_account", account)
        assert refused.value.sqlstate in {"PT404", "PT401"}
    engine.call_as(alice, "disconnect_account", account)
    assert engine.value("select count(*) from public.social_accounts") == 0
    assert engine.value("select count(*) from filaviva.account_tokens") == 0
    assert engine.value("select count(*) from vault.secrets where name like 'social_account:%%'") == 0
    with pytest.raises(psycopg.DatabaseError) as gone:
        engine.call_as(alice, "disconnect_account", account)
    assert (gone.value.sqlstate, gone.value.diag.message_detail) == ("PT404", "unknown_account")


def test_accounts_are_streamed_to_those_who_may_read_them(engine: Engine) -> None:
    published = "select true from pg_publication_tables where pubname = 'supabase_realtime' and tablename = %s"
    assert engine.value(published, "social_accounts")
    assert not engine.value(published, "account_tokens")
