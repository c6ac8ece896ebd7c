"""A user's own rate limits: which there are, and how they stand."""

import uuid

import psycopg
import pytest

from tests.sql.conftest import Engine


def limits(engine: Engine, user: uuid.UUID) -> dict[tuple[str, str], tuple[int, int]]:
    """(limiter, what follows the user in the key) → (remaining, limit)."""
    found = engine.call_as(user, "my_rate_limits")
    return {
        (each["limiter"], each["key"].removeprefix(str(user)).lstrip(":")): (each["remaining"], each["limit"])
        for each in found
    }


def test_without_accounts_there_are_the_limits_on_users(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    assert limits(engine, alice) == {("api", ""): (999, 1000), ("campaign", ""): (100, 100)}


def test_limits_on_users_and_on_connected_accounts_are_among_them(
    engine: Engine, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    engine.call("set_rate_limiter", "each_user", 5, 60)
    engine.call("limit_queue", "work", "each_user", "user_id")
    engine.call("connect_account", alice, "facebook", "1", "Padaria", {"access_token": "t"})
    found = limits(engine, alice)
    assert {("each_user", ""), ("account_calls", "facebook"), ("facebook_reels_day", "facebook_reels")} <= found.keys()
    assert not {limiter for limiter, _ in found if limiter.startswith(("tiktok", "x_"))}
    assert limits(engine, bob).keys() == {("api", ""), ("campaign", ""), ("each_user", "")}


def test_what_counts_is_seen(engine: Engine, alice: uuid.UUID) -> None:
    engine.call("set_rate_limiter", "each_user", 5, 60)
    engine.call("limit_queue", "work", "each_user", "user_id")
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}, {"kind": "task"}])
    engine.claim()
    assert limits(engine, alice)["each_user", ""] == (3, 5)


def test_nobody_in_particular_has_none(engine: Engine) -> None:
    with pytest.raises(psycopg.Error, match="signed-in"):
        engine.call_as(None, "my_rate_limits")
