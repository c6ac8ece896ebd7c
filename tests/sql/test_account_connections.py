"""A sign-in under way is taken once, by the browser that began it, on its platform, within ten minutes."""

import hashlib
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def begin(engine: Engine, user: uuid.UUID, state: str = "state", browser: str = "browser") -> None:
    engine.call("begin_connection", user, "x", digest(state), digest(browser), "verifier", "page-7")


def take(engine: Engine, platform: str = "x", state: str = "state", browser: str = "browser") -> Any:
    return engine.call("take_connection", platform, digest(state), digest(browser))


def test_a_sign_in_is_taken_once(engine: Engine, alice: uuid.UUID) -> None:
    begin(engine, alice)
    assert take(engine) == {"user_id": str(alice), "verifier": "verifier", "wanted": "page-7"}
    assert take(engine) is None


@pytest.mark.parametrize("wrong", [{"platform": "tiktok"}, {"browser": "another"}])
def test_a_state_in_the_wrong_hands_is_refused_and_spent(
    engine: Engine, alice: uuid.UUID, wrong: dict[str, str]
) -> None:
    begin(engine, alice)
    assert take(engine, **wrong) is None
    assert take(engine) is None


def test_a_state_that_nobody_was_given_opens_nothing(engine: Engine, alice: uuid.UUID) -> None:
    begin(engine, alice)
    assert take(engine, state="another") is None
    assert take(engine) is not None


def test_after_ten_minutes_it_is_too_late(engine: Engine, alice: uuid.UUID) -> None:
    begin(engine, alice)
    engine.step_clock(timedelta(minutes=10))
    assert take(engine) is None


def test_what_is_over_is_forgotten_and_a_user_keeps_twenty_open(
    engine: Engine, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    count = "select count(*) from filaviva.account_connections where user_id = %s"
    begin(engine, bob, "old")
    engine.step_clock(timedelta(minutes=11))
    for number in range(25):
        begin(engine, alice, f"state {number}")
    assert (engine.value(count, alice), engine.value(count, bob)) == (20, 0)
    assert take(engine, state="state 4") is None
    assert take(engine, state="state 5") is not None


def test_neither_state_nor_cookie_is_stored_as_it_is(engine: Engine, alice: uuid.UUID) -> None:
    begin(engine, alice, "the-state", "the-cookie")
    row = engine.value("select to_jsonb(c)::text from filaviva.account_connections c")
    assert "the-state" not in row and "the-cookie" not in row
    with pytest.raises(psycopg.DatabaseError) as refused:
        engine.call("begin_connection", alice, "x", "the-state", digest("b"), "verifier")
    assert (refused.value.sqlstate, refused.value.diag.message_detail) == ("PT400", "invalid_field")
