"""What each kind of rule sees, and what it does not mistake for it."""

import re
from datetime import timedelta
from typing import Any

import psycopg

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue

BOOM = {"code": "boom", "message": "It broke."}


def only(engine: Engine, rule: str, **settings: object) -> None:
    """Leave one of the rules that come along, perhaps with other numbers."""
    engine.connection.execute("update public.alert_rules set enabled = name = %s", (rule,))
    engine.call("set_alert_rule", rule, settings)


def fires(engine: Engine) -> list[tuple[str | None, str]]:
    """Queue and message of every open alert, after a check in which nothing broke."""
    assert engine.call("check_alerts")["broken"] == 0
    return engine.connection.execute(
        "select queue, message from public.alerts where resolved_at is null order by queue"
    ).fetchall()


def claim_and_settle(engine: Engine, outcome: str, **more: Any) -> None:
    engine.settle(engine.claim_one(), outcome, **more)


# failed_jobs -------------------------------------------------------------------------------------


def test_failures_are_counted_from_settles_to_alert(engine: Engine) -> None:
    only(engine, "failed_jobs", max_count=2)
    engine.enqueue(*[{"kind": "task"}] * 5)
    claim_and_settle(engine, "done")
    claim_and_settle(engine, "retry", error=BOOM, after_seconds=60)
    claim_and_settle(engine, "reject", error=BOOM)
    claim_and_settle(engine, "reject", error=BOOM)
    assert fires(engine) == [], "two failures are not more than two"
    job = engine.claim_one()
    engine.call("commit_job", job["job_id"], job["claim_id"], {}, False, 60)
    engine.settle(job, "unconfirmed", error=BOOM)
    assert fires(engine) == [("work", "3 jobs of work failed within 5 minutes.")]
    engine.value("select filaviva.sample_queues()")
    engine.step_clock(timedelta(minutes=4))
    engine.value("select filaviva.sample_queues()")
    assert len(fires(engine)) == 1, "folded counts count"
    engine.step_clock(timedelta(minutes=2))
    assert fires(engine) == []


# oldest_due --------------------------------------------------------------------------------------


def test_a_job_that_may_run_and_waits_too_long(engine: Engine) -> None:
    only(engine, "oldest_due", max_seconds=60)
    engine.enqueue({"kind": "task"})
    assert fires(engine) == []
    engine.step_clock(timedelta(seconds=65))
    [(queue, message)] = fires(engine)
    assert (queue, message[:31]) == ("work", "A job of work has been due for ")
    engine.claim_one()
    assert fires(engine) == []


def test_a_job_that_must_wait_is_no_reason(engine: Engine) -> None:
    only(engine, "oldest_due", max_seconds=60)
    engine.enqueue({"kind": "task", "group_key": "g"}, {"kind": "task", "group_key": "g"})
    engine.claim_one()
    engine.enqueue({"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"})
    engine.step_clock(timedelta(minutes=5))
    assert fires(engine) == []


def test_a_job_of_a_paused_queue_is_no_reason(engine: Engine) -> None:
    only(engine, "oldest_due", max_seconds=60)
    engine.enqueue({"kind": "task"})
    engine.step_clock(timedelta(seconds=65))
    assert len(fires(engine)) == 1
    engine.call("pause_queue", "work")
    assert fires(engine) == []


# no_drain ----------------------------------------------------------------------------------------


def test_work_that_nobody_asks_for(engine: Engine) -> None:
    only(engine, "no_drain")
    engine.enqueue({"kind": "task"})
    engine.step_clock(timedelta(seconds=65))
    assert fires(engine) == [("work", "Nobody has asked for jobs of work for 60 seconds, and work is due.")]
    engine.claim_one()
    assert fires(engine) == []


def test_a_queue_without_work_needs_no_drain(engine: Engine) -> None:
    only(engine, "no_drain")
    engine.step_clock(timedelta(hours=1))
    assert fires(engine) == []


def test_a_drain_that_asks_in_vain_is_there(engine: Engine) -> None:
    only(engine, "no_drain")
    make_queue(engine, "single", concurrency=1)
    engine.enqueue({"kind": "task_single"}, {"kind": "task_single"})
    engine.claim_one("single")
    engine.step_clock(timedelta(seconds=65))
    engine.claim("single")
    assert fires(engine) == []


def test_a_full_queue_whose_jobs_live_is_drained(engine: Engine) -> None:
    only(engine, "no_drain")
    make_queue(engine, "single", concurrency=1)
    engine.enqueue({"kind": "task_single"}, {"kind": "task_single"})
    running = engine.claim_one("single")
    for _ in range(4):
        engine.step_clock(timedelta(seconds=20))
        engine.call("extend_leases", [{"job_id": running["job_id"], "claim_id": running["claim_id"]}])
    assert fires(engine) == []
    engine.step_clock(timedelta(seconds=40))
    assert [queue for queue, _ in fires(engine)] == ["single"], "the lease is over, and nobody asks"


# no_drain_url ------------------------------------------------------------------------------------


def test_a_missing_address_of_the_drain_is_an_alert_and_no_warning(engine: Engine) -> None:
    only(engine, "no_drain_url")
    engine.enqueue({"kind": "task"})
    engine.step_clock(timedelta(seconds=15))
    notices: list[str | None] = []
    engine.connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    assert engine.call("tick")["kicked"] == 0
    assert notices == []
    assert fires(engine) == [(None, "No drain is configured, and work is due.")]
    assert len(fires(engine)) == 1, "one alert, though it is of no queue"
    engine.call("configure_drain", "http://127.0.0.1:9/", "token", 200)
    assert fires(engine) == []


def test_who_listens_directly_needs_no_address(engine: Engine) -> None:
    only(engine, "no_drain_url")
    engine.enqueue(*[{"kind": "task"}] * 2)
    engine.step_clock(timedelta(seconds=15))
    engine.claim_one()
    assert fires(engine) == []


# net_queue ---------------------------------------------------------------------------------------


def test_a_request_that_is_not_sent(engine: Engine) -> None:
    only(engine, "net_queue")
    engine.connection.execute("select net.http_post('http://127.0.0.1:9/')")
    assert fires(engine) == []
    engine.step_clock(timedelta(seconds=31))
    [(_, message)] = fires(engine)
    assert re.fullmatch(r"1 requests wait in pg_net, the first for 3\d seconds\.", message)
    engine.connection.execute("delete from net.http_request_queue")
    engine.connection.execute("select net.http_post('http://127.0.0.1:9/')")
    assert fires(engine) == [], "another one stands at the head now"


def test_too_many_requests_that_wait(engine: Engine) -> None:
    only(engine, "net_queue", max_count=3)
    for _ in range(4):
        engine.connection.execute("select net.http_post('http://127.0.0.1:9/')")
    assert len(fires(engine)) == 1


# old_transaction ---------------------------------------------------------------------------------


def test_a_transaction_that_holds_back_dead_rows(database: Database, engine: Engine) -> None:
    only(engine, "old_transaction")
    with database.connect() as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with other.transaction():
            other.execute("select 1")
            assert fires(engine) == []
            engine.step_clock(timedelta(seconds=61))
            [(_, message)] = fires(engine)
            assert re.match(r"A transaction of postgres has been open for 6\d seconds", message)
            details = engine.value("select details from public.alerts")
            assert details["pid"] == other.info.backend_pid
            assert "query" not in details, "it may hold anything"
        assert fires(engine) == []


def test_a_transaction_that_holds_nothing_is_no_reason(database: Database, engine: Engine) -> None:
    only(engine, "old_transaction")
    with database.connect() as other, other.transaction():
        other.execute("select 1")
        engine.step_clock(timedelta(seconds=61))
        assert fires(engine) == []
