"""From a rule to an alert: opened once, posted once, over once, seen by operators alone."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.conftest import Database
from tests.sql.conftest import Engine, Json, make_queue


@pytest.fixture(autouse=True)
def rule(engine: Engine) -> None:
    """One rule alone, and one that can be made to fire: more than no failure within five minutes."""
    engine.connection.execute("update public.alert_rules set enabled = false")
    engine.call("set_alert_rule", "failures", {"kind": "failed_jobs", "max_count": 0, "window_minutes": 5})


@pytest.fixture
def webhook(engine: Engine) -> None:
    engine.connection.execute("select filaviva.put_secret('filaviva_alert_url', 'http://127.0.0.1:9/alerts')")


def fail_one(engine: Engine, queue: str = "work") -> None:
    engine.connection.execute(
        "insert into filaviva.settle_counts (queue, at, completed, failed, cancelled, unconfirmed, again)"
        " values (%s, filaviva.now(), 0, 1, 0, 0, 0)",
        (queue,),
    )


def check(engine: Engine) -> Json:
    answer: Json = engine.call("check_alerts")
    return answer


def alerts(engine: Engine) -> list[Json]:
    with engine.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from public.alerts order by id").fetchall()


def posted(engine: Engine) -> list[Json]:
    rows = engine.connection.execute("select convert_from(body, 'UTF8') from net.http_request_queue order by id")
    return [json.loads(row[0]) for row in rows]


# One alert ---------------------------------------------------------------------------------------


def test_an_alert_is_one_row_for_as_long_as_its_rule_fires(engine: Engine) -> None:
    assert check(engine) == {"opened": 0, "resolved": 0, "broken": 0, "open": 0}
    fail_one(engine)
    assert check(engine) == {"opened": 1, "resolved": 0, "broken": 0, "open": 1}
    fail_one(engine)
    assert check(engine) == {"opened": 0, "resolved": 0, "broken": 0, "open": 1}
    [alert] = alerts(engine)
    assert (alert["rule"], alert["kind"], alert["queue"], alert["version"]) == ("failures", "failed_jobs", "work", 1)
    assert (alert["message"], alert["resolved_at"]) == ("1 jobs of work failed within 5 minutes.", None)
    engine.step_clock(timedelta(minutes=6))
    assert check(engine) == {"opened": 0, "resolved": 1, "broken": 0, "open": 0}
    [alert] = alerts(engine)
    assert alert["version"] == 2
    assert alert["resolved_at"] > alert["opened_at"]
    fail_one(engine)
    assert check(engine)["opened"] == 1, "a new alert, not the old one again"


def test_each_queue_has_its_own_alert(engine: Engine) -> None:
    make_queue(engine, "other")
    fail_one(engine)
    check(engine)
    engine.step_clock(timedelta(minutes=3))
    fail_one(engine, "other")
    assert check(engine) == {"opened": 1, "resolved": 0, "broken": 0, "open": 2}
    engine.step_clock(timedelta(minutes=3))
    assert check(engine) == {"opened": 0, "resolved": 1, "broken": 0, "open": 1}
    assert [(alert["queue"], alert["resolved_at"] is None) for alert in alerts(engine)] == [
        ("work", False),
        ("other", True),
    ]


def test_a_rule_about_one_queue_leaves_the_others_alone(engine: Engine) -> None:
    make_queue(engine, "other")
    engine.call("set_alert_rule", "failures", {"queue": "other"})
    fail_one(engine)
    assert check(engine)["opened"] == 0


def test_disabling_a_rule_ends_its_alert(engine: Engine) -> None:
    fail_one(engine)
    check(engine)
    engine.call("set_alert_rule", "failures", {"enabled": False})
    assert check(engine) == {"opened": 0, "resolved": 1, "broken": 0, "open": 0}


# The webhook -------------------------------------------------------------------------------------


def test_an_alert_is_posted_when_it_opens_and_when_it_is_over(engine: Engine, webhook: None) -> None:
    fail_one(engine)
    check(engine)
    check(engine)
    [opened] = posted(engine)
    assert (opened["event"], opened["text"]) == ("opened", "1 jobs of work failed within 5 minutes.")
    assert (opened["alert"]["rule"], opened["alert"]["resolved_at"]) == ("failures", None)
    engine.step_clock(timedelta(minutes=6))
    check(engine)
    check(engine)
    [_, resolved] = posted(engine)
    assert (resolved["event"], resolved["text"]) == ("resolved", "Over: 1 jobs of work failed within 5 minutes.")
    assert resolved["alert"]["resolved_at"] is not None
    assert engine.value("select url from net.http_request_queue limit 1") == "http://127.0.0.1:9/alerts"


def test_without_an_address_nothing_is_posted_and_nothing_fails(engine: Engine) -> None:
    fail_one(engine)
    assert check(engine)["opened"] == 1
    assert posted(engine) == []


def test_a_broken_address_loses_no_alert(engine: Engine) -> None:
    engine.connection.execute("select filaviva.put_secret('filaviva_alert_url', 'nonsense')")
    fail_one(engine)
    assert check(engine) == {"opened": 1, "resolved": 0, "broken": 0, "open": 1}


def test_what_is_rolled_back_is_not_posted(engine: Engine, webhook: None) -> None:
    class UndoError(Exception):
        pass

    fail_one(engine)
    with pytest.raises(UndoError), engine.connection.transaction():
        check(engine)
        raise UndoError
    assert posted(engine) == []
    check(engine)
    assert len(posted(engine)) == 1


# Checking ----------------------------------------------------------------------------------------


def test_one_check_runs_at_a_time(database: Database, engine: Engine) -> None:
    fail_one(engine)
    with database.connect() as other, other.transaction():
        other.execute("select filaviva.check_alerts()")
        assert "skipped" in check(engine)
    assert check(engine)["opened"] == 0, "the first one did it"


@pytest.fixture
def locked_out(database: Database) -> Iterator[None]:
    """Somebody holds pg_net's table, so that the rule about it cannot be checked."""
    with database.connect("supabase_admin") as other, other.transaction():
        other.execute("lock table net.http_request_queue in access exclusive mode")
        yield


def test_a_rule_that_cannot_be_checked_stops_no_other(engine: Engine, locked_out: None) -> None:
    engine.call("set_alert_rule", "a_broken_one", {"kind": "net_queue", "max_count": 1, "max_seconds": 30})
    fail_one(engine)
    assert check(engine) == {"opened": 1, "resolved": 0, "broken": 1, "open": 1}
    problem = "select problem from public.alert_rules where name = %s"
    assert "lock timeout" in engine.value(problem, "a_broken_one")
    assert engine.value(problem, "failures") is None


def test_a_rule_that_can_be_checked_again_has_no_problem_any_more(engine: Engine) -> None:
    engine.connection.execute("update public.alert_rules set problem = 'it was locked'")
    assert check(engine)["broken"] == 0
    assert engine.value("select count(*) from public.alert_rules where problem is not null") == 0


# Rules -------------------------------------------------------------------------------------------


def test_the_rules_that_come_along_look_after_the_whole_road(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select name, max_count, max_seconds, window_minutes from public.alert_rules"
        " where name <> 'failures' order by 1"
    ).fetchall()
    assert rows == [
        ("failed_jobs", 10, None, 5),
        ("net_queue", 1000, 30, None),
        ("no_drain", None, 60, None),
        ("no_drain_url", None, 10, None),
        ("no_tick", None, 30, None),
        ("old_transaction", None, 60, None),
        ("oldest_due", None, 300, None),
    ]


def test_a_rule_is_changed_setting_by_setting(engine: Engine) -> None:
    engine.call("set_alert_rule", "failures", {"max_count": 7})
    engine.call("set_alert_rule", "failures", {"enabled": False})
    row = engine.connection.execute(
        "select kind, max_count, window_minutes, enabled from public.alert_rules where name = 'failures'"
    ).fetchone()
    assert row == ("failed_jobs", 7, 5, False)


@pytest.mark.parametrize(
    ("name", "settings", "code"),
    [
        ("new", {}, "invalid_field"),
        ("new", {"kind": "weather", "max_seconds": 1}, "invalid_field"),
        ("new", {"kind": "oldest_due"}, "invalid_field"),
        ("new", {"kind": "oldest_due", "max_seconds": 0}, "invalid_field"),
        ("new", {"kind": "oldest_due", "max_seconds": "many"}, "invalid_field"),
        ("new", {"kind": "oldest_due", "max_seconds": 5, "max_count": 5}, "invalid_field"),
        ("new", {"kind": "no_tick", "max_seconds": 5, "queue": "work"}, "invalid_field"),
        ("new", {"kind": "failed_jobs", "max_count": 1, "window_minutes": 1441}, "invalid_field"),
        ("No Name", {"kind": "oldest_due", "max_seconds": 5}, "invalid_field"),
        (None, {"kind": "oldest_due", "max_seconds": 5}, "invalid_field"),
        ("new", ["kind"], "invalid_field"),
        ("new", {"colour": "red"}, "unknown_setting"),
        ("new", {"problem": "mine"}, "unknown_setting"),
        ("new", {"kind": "oldest_due", "max_seconds": 5, "queue": "nowhere"}, "unknown_queue"),
    ],
)
def test_a_wrong_rule_is_refused_with_a_reason(engine: Engine, name: str | None, settings: Any, code: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call("set_alert_rule", name, settings)
    assert caught.value.diag.message_detail == code
    assert str(caught.value.sqlstate).startswith("PT4")
    assert engine.value("select count(*) from public.alert_rules where name = 'new'") == 0


# Who sees them -----------------------------------------------------------------------------------


def test_operators_alone_see_alerts_and_rules(engine: Engine, alice: uuid.UUID) -> None:
    fail_one(engine)
    check(engine)
    user = {"role": "authenticated", "sub": str(alice)}
    for claims, seen in ((user, False), (user | {"app_metadata": {"filaviva_role": "operator"}}, True)):
        with engine.as_role("authenticated", claims):
            assert engine.value("select count(*) > 0 from public.alerts") is seen
            assert engine.value("select count(*) > 0 from public.alert_rules") is seen
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role("anon"):
        engine.connection.execute("select * from public.alerts")


def test_alerts_are_streamed(engine: Engine) -> None:
    assert engine.value(
        "select true from pg_publication_tables where pubname = 'supabase_realtime'"
        " and schemaname = 'public' and tablename = 'alerts'"
    )


def test_operators_alone_change_rules(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, "set_alert_rule", "failures", {"enabled": False})
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT403", "operator_only")
