"""Why a job waits: one reason, what it waits for, and when it may go on."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine, make_queue


def why(engine: Engine, job_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = engine.call("why_waiting", job_id)
    assert set(answer) == {"reason", "key", "expected_at", "ahead", "details"}
    return answer


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_scheduled_job_waits_for_its_time(engine: Engine) -> None:
    when = datetime.now(UTC) + timedelta(hours=1)
    [job_id] = engine.enqueue({"kind": "task", "scheduled_at": when.isoformat()})
    answer = why(engine, job_id)
    assert (answer["reason"], at(answer["expected_at"])) == ("scheduled", when)


@pytest.mark.parametrize(("outcome", "reason"), [("retry", "backoff"), ("snooze", "polling")])
def test_a_job_that_comes_back_says_when(engine: Engine, outcome: str, reason: str) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.settle(job, outcome, after_seconds=120)
    answer = why(engine, job["job_id"])
    assert answer["reason"] == reason
    assert timedelta(seconds=110) < at(answer["expected_at"]) - datetime.now(UTC) <= timedelta(seconds=120)


def test_a_job_behind_its_group_says_how_many_are_before_it(engine: Engine) -> None:
    ids = engine.enqueue(*[{"kind": "task", "group_key": "chat"} for _ in range(4)])
    engine.claim_one()
    answer = why(engine, ids[3])
    assert (answer["reason"], answer["key"], answer["ahead"]) == ("group", "chat", 3)


def test_a_group_in_its_gap_says_when_it_goes_on(engine: Engine) -> None:
    make_queue(engine, "work", gap_min_ms=5000, gap_max_ms=5000)
    ids = engine.enqueue(*[{"kind": "task", "group_key": "chat"} for _ in range(2)])
    engine.settle(engine.claim_one(), "done")
    answer = why(engine, ids[1])
    assert (answer["reason"], answer["ahead"]) == ("group", 0)
    assert timedelta(seconds=3) < at(answer["expected_at"]) - datetime.now(UTC) <= timedelta(seconds=5)


def test_a_parked_job_names_its_limit_and_its_turn(engine: Engine) -> None:
    engine.call("set_rate_limiter", "two", 2, 60)
    engine.call("limit_queue", "work", "two", "instance_id")
    ids = engine.enqueue(*[{"kind": "task", "instance_id": "a"} for _ in range(7)])
    engine.claim(limit=10)
    near, far = why(engine, ids[2]), why(engine, ids[6])
    assert (near["reason"], near["key"], near["ahead"]) == ("limit", "limit:two:a", 0)
    assert near["details"] == {"limiter": "two", "limit": 2, "window_seconds": 60}
    assert far["ahead"] == 4
    assert at(far["expected_at"]) - at(near["expected_at"]) == timedelta(seconds=124), "two windows later"


def test_a_paused_queue_comes_before_every_other_reason(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    engine.call("pause_queue", "work")
    assert why(engine, job_id)["reason"] == "paused"


def test_a_full_queue_says_so(engine: Engine) -> None:
    make_queue(engine, "work", concurrency=1)
    ids = engine.enqueue(*[{"kind": "task"} for _ in range(3)])
    engine.claim(limit=5)
    answer = why(engine, ids[2])
    assert (answer["reason"], answer["ahead"], answer["details"]) == (
        "concurrency",
        1,
        {"running": 1, "concurrency": 1},
    )


@pytest.mark.parametrize("window", [0, 200])
def test_a_due_job_says_how_many_are_before_it_and_when_it_may_run(engine: Engine, window: int) -> None:
    make_queue(engine, "work", window_size=window)
    ids = engine.enqueue(*[{"kind": "task"} for _ in range(10)])
    results = [
        {"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"}
        for job in engine.claim(limit=6)["jobs"]
    ]
    engine.call("settle_jobs", results)
    answer = why(engine, ids[9])
    assert (answer["reason"], answer["ahead"]) == ("in_line", 3)
    assert timedelta(0) < at(answer["expected_at"]) - datetime.now(UTC) <= timedelta(seconds=30), "three at 6 a minute"


def test_a_job_that_nobody_asks_for_says_so(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    engine.step_clock(timedelta(seconds=45))
    answer = why(engine, job_id)
    assert answer["reason"] == "no_drain"
    assert 44 <= answer["details"]["seconds"] <= 50


def test_a_job_that_does_not_wait_says_what_it_does(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    assert why(engine, job["job_id"])["reason"] == "processing"
    engine.settle(job, "done")
    assert why(engine, job["job_id"])["details"] == {"status": "completed"}


def test_only_those_who_see_a_job_may_ask(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    [job_id] = engine.enqueue({"kind": "task", "user_id": str(alice)})
    assert engine.call_as(alice, "why_waiting", job_id)["reason"] == "in_line"
    with pytest.raises(psycopg.Error) as refused:
        engine.call_as(bob, "why_waiting", job_id)
    assert refused.value.diag.message_detail == "unknown_job"
