"""Renewing tokens: one worker at a time, both tokens in one write, and nothing stored by one who came too late."""

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine

OLD = {"access_token": "access-1", "refresh_token": "refresh-1"}
NEW = {"access_token": "access-2", "refresh_token": "refresh-2"}
LEASE_SECONDS = 60


@pytest.fixture
def account(engine: Engine, alice: uuid.UUID) -> str:
    return str(engine.call("connect_account", alice, "x", "1", "Alice", OLD))


@pytest.fixture
def other(database: Database) -> Iterator[Engine]:
    """A second worker's connection."""
    with database.connect() as connection:
        yield Engine(connection)


def begin(engine: Engine, account: str, version: int = 1) -> dict[str, Any]:
    answer: dict[str, Any] = engine.call("begin_refresh", account, version, LEASE_SECONDS)
    return answer


def tokens(engine: Engine, user: uuid.UUID) -> tuple[str, str, int]:
    credentials = engine.call("account_credentials", user, "x")
    return credentials["access_token"], credentials["refresh_token"], credentials["token_version"]


def test_two_workers_at_once_renew_once(engine: Engine, other: Engine, account: str, alice: uuid.UUID) -> None:
    mine = begin(engine, account)
    assert (mine["state"], mine["credentials"]["refresh_token"]) == ("yours", "refresh-1")
    theirs = begin(other, account)
    assert (theirs["state"], theirs["after_seconds"] <= LEASE_SECONDS) == ("busy", True)
    assert "credentials" not in theirs
    stored = engine.call("store_refreshed", account, mine["fence"], NEW, "2027-01-01T00:00:00Z")
    assert (stored["access_token"], stored["expires_at"]) == ("access-2", "2027-01-01T00:00:00+00:00")
    late = begin(other, account)
    assert (late["state"], late["credentials"]["access_token"]) == ("renewed", "access-2")
    assert tokens(other, alice) == ("access-2", "refresh-2", 2)


def test_of_many_connections_in_the_same_moment_one_gets_the_right(
    database: Database, engine: Engine, account: str
) -> None:
    start, states, connections = threading.Barrier(6), list[str](), [database.connect() for _ in range(6)]

    def ask(connection: psycopg.Connection) -> None:
        start.wait(30)
        states.append(begin(Engine(connection), account)["state"])

    threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for connection in connections:
        connection.close()
    assert sorted(states) == ["busy"] * 5 + ["yours"]


def test_what_the_platform_leaves_out_stays_as_it_was(engine: Engine, account: str, alice: uuid.UUID) -> None:
    fence = begin(engine, account)["fence"]
    engine.call("store_refreshed", account, fence, {"access_token": "access-2", "refresh_token": None})
    assert tokens(engine, alice) == ("access-2", "refresh-1", 2)


def test_after_a_worker_died_the_next_one_takes_over_and_the_dead_one_stores_nothing(
    engine: Engine, other: Engine, account: str, alice: uuid.UUID
) -> None:
    dead = begin(engine, account)
    engine.step_clock(timedelta(seconds=LEASE_SECONDS + 1))
    heir = begin(other, account)
    assert (heir["state"], heir["credentials"]["refresh_token"]) == ("yours", "refresh-1")
    assert heir["fence"] > dead["fence"]
    assert engine.call("store_refreshed", account, dead["fence"], {"access_token": "of-the-dead"}) is None
    assert tokens(engine, alice) == ("access-1", "refresh-1", 1)
    assert other.call("store_refreshed", account, heir["fence"], NEW) is not None
    assert tokens(engine, alice) == ("access-2", "refresh-2", 2)


def test_a_slow_worker_whom_nobody_has_followed_may_still_store(engine: Engine, account: str, alice: uuid.UUID) -> None:
    fence = begin(engine, account)["fence"]
    engine.step_clock(timedelta(seconds=LEASE_SECONDS + 1))
    assert engine.call("store_refreshed", account, fence, NEW) is not None
    assert tokens(engine, alice) == ("access-2", "refresh-2", 2)


def test_nothing_of_a_store_that_fails_is_kept(engine: Engine, account: str, alice: uuid.UUID) -> None:
    fence = begin(engine, account)["fence"]
    with pytest.raises(ZeroDivisionError), engine.connection.transaction():
        row = engine.connection.execute(
            "select public.store_refreshed(%s, %s, %s)", (account, fence, json.dumps(NEW))
        ).fetchone()
        assert row is not None and row[0]["access_token"] == "access-2"
        raise ZeroDivisionError  # the connection goes before the commit
    assert tokens(engine, alice) == ("access-1", "refresh-1", 1)
    assert engine.value("select version from public.social_accounts") == 1


def test_a_right_that_is_given_back_keeps_nobody_waiting(engine: Engine, other: Engine, account: str) -> None:
    fence = begin(engine, account)["fence"]
    assert engine.call("abandon_refresh", account, fence) is True
    assert begin(other, account)["state"] == "yours"
    assert engine.call("abandon_refresh", account, fence) is False, "it is another's now"
    assert begin(engine, account)["state"] == "busy"


def test_connecting_again_ends_every_renewal_under_way(engine: Engine, account: str, alice: uuid.UUID) -> None:
    fence = begin(engine, account)["fence"]
    fresh = {"access_token": "fresh", "refresh_token": "fresh-refresh"}
    engine.call("connect_account", alice, "x", "1", "Alice", fresh)
    assert engine.call("store_refreshed", account, fence, NEW) is None
    assert engine.call("mark_reconnect", account, 1, "token_refused") is False, "these tokens are not the refused ones"
    assert tokens(engine, alice) == ("fresh", "fresh-refresh", 2)


def test_an_account_to_reconnect_shows_why_and_gives_no_tokens(engine: Engine, account: str, alice: uuid.UUID) -> None:
    before = engine.value("select updated_at from public.social_accounts")
    assert engine.call("mark_reconnect", account, 1, "token_refused") is True
    assert engine.call("mark_reconnect", account, 1, "token_refused") is False
    row = engine.connection.execute(
        "select status, reconnect_reason, version, updated_at > %s from public.social_accounts", (before,)
    ).fetchone()
    assert row == ("reconnect", "token_refused", 2, True)
    credentials = engine.call("account_credentials", alice, "x")
    assert (credentials["status"], "access_token" in credentials) == ("reconnect", False)
    assert begin(engine, account)["state"] == "reconnect"
    engine.call("connect_account", alice, "x", "1", "Alice", NEW)
    assert tokens(engine, alice) == ("access-2", "refresh-2", 2)
    assert engine.value("select reconnect_reason from public.social_accounts") is None


@pytest.mark.parametrize("reason", [None, "", "The token access-1 is bad", "x" * 64])
def test_a_reason_is_a_code_since_words_may_hold_a_secret(engine: Engine, account: str, reason: str | None) -> None:
    with pytest.raises(psycopg.DatabaseError) as refused:
        engine.call("mark_reconnect", account, 1, reason)
    assert (refused.value.sqlstate, refused.value.diag.message_detail) == ("PT400", "invalid_field")


def test_an_account_that_is_gone_is_not_renewed(engine: Engine, account: str, alice: uuid.UUID) -> None:
    fence = begin(engine, account)["fence"]
    engine.call_as(alice, "disconnect_account", account)
    assert engine.call("store_refreshed", account, fence, NEW) is None
    assert engine.call("abandon_refresh", account, fence) is False
    assert engine.call("mark_reconnect", account, 1, "token_refused") is False
    assert begin(engine, account) == {"state": "gone"}
    assert engine.value("select count(*) from vault.secrets where name like 'social_account:%%'") == 0


@pytest.mark.parametrize("seconds", [None, 0, 601])
def test_a_lease_has_a_sensible_length(engine: Engine, account: str, seconds: int | None) -> None:
    with pytest.raises(psycopg.DatabaseError) as refused:
        engine.call("begin_refresh", account, 1, seconds)
    assert refused.value.sqlstate == "PT400"
