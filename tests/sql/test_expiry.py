"""Expiry: a job that could not start in time is cancelled, and one that has begun its call is left alone."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.sql.conftest import Engine


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_job_that_did_not_start_in_time_is_cancelled_with_the_reason(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task", "expires_at": in_seconds(60)})
    engine.step_clock(timedelta(seconds=61))
    assert engine.claim()["jobs"] == []
    job = engine.job(job_id)
    assert (job["status"], job["error_code"]) == ("cancelled", "expired")
    assert job["finished_at"] is not None


def test_the_tick_cancels_without_any_claim(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task", "expires_at": in_seconds(60), "scheduled_at": in_seconds(30)})
    engine.connection.execute("update public.queues set paused_at = now() where name = 'work'")
    engine.step_clock(timedelta(seconds=61))
    engine.call("tick")
    assert engine.job(job_id)["status"] == "cancelled"
    assert engine.connection.execute("select * from filaviva.expiries").fetchall() == []


def test_a_job_that_runs_at_its_expiry_is_not_stopped(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "expires_at": in_seconds(10)})
    job = engine.claim_one()
    engine.step_clock(timedelta(seconds=20))
    engine.call("tick")
    assert engine.settle(job, "done")["status"] == "completed"


def test_no_further_attempt_starts_after_the_expiry(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "expires_at": in_seconds(20)})
    job = engine.claim_one()
    engine.step_clock(timedelta(seconds=21))
    assert engine.settle(job, "retry", error={"code": "boom", "message": "It broke."})["status"] == "cancelled"
    assert engine.job(job["job_id"])["error_code"] == "expired"


def test_a_job_in_backoff_is_cancelled_at_its_expiry(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "expires_at": in_seconds(20)})
    job = engine.claim_one()
    engine.settle(job, "retry", after_seconds=300)
    engine.step_clock(timedelta(seconds=21))
    engine.call("tick")
    assert engine.job(job["job_id"])["status"] == "cancelled"


def test_the_point_of_no_return_is_not_passed_after_the_expiry(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "expires_at": in_seconds(10)})
    job = engine.claim_one()
    engine.step_clock(timedelta(seconds=11))
    with pytest.raises(psycopg.Error) as refused:
        engine.call("commit_job", job["job_id"], job["claim_id"], {}, False, 30)
    assert refused.value.diag.message_detail == "expired"


def test_a_committed_job_goes_on_after_its_expiry(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "expires_at": in_seconds(10)})
    job = engine.claim_one()
    engine.call("commit_job", job["job_id"], job["claim_id"], {}, False, 30)
    engine.settle(job, "snooze", after_seconds=5)
    engine.step_clock(timedelta(seconds=11))
    engine.call("tick")
    again = engine.claim_one()
    assert again["job_id"] == job["job_id"]
    assert again["committed"]


def test_an_expired_head_frees_its_group(engine: Engine) -> None:
    head, behind = engine.enqueue(
        {"kind": "task", "group_key": "chat", "expires_at": in_seconds(10)}, {"kind": "task", "group_key": "chat"}
    )
    engine.claim(limit=0)
    engine.step_clock(timedelta(seconds=11))
    engine.call("tick")
    assert engine.job(head)["status"] == "cancelled"
    assert [job["job_id"] for job in engine.claim()["jobs"]] == [behind]


@pytest.mark.parametrize("expires_at", ["soon", 5, "2026-13-01T00:00:00Z"])
def test_an_expiry_that_is_no_time_is_refused(engine: Engine, expires_at: object) -> None:
    with pytest.raises(psycopg.Error, match=r"expires_at|cannot be read") as refused:
        engine.enqueue({"kind": "task", "expires_at": expires_at})
    assert refused.value.sqlstate == "PT400"


def test_an_expiry_before_the_schedule_is_refused(engine: Engine) -> None:
    with pytest.raises(psycopg.Error, match="later than its scheduled_at"):
        engine.enqueue({"kind": "task", "scheduled_at": in_seconds(60), "expires_at": in_seconds(30)})


def test_places_of_expired_jobs_go_to_the_next_of_their_priority(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task", "priority": 5, "expires_at": in_seconds(10)}] * 3)
    high = engine.enqueue(*[{"kind": "task", "priority": 5}] * 2)
    engine.enqueue(*[{"kind": "task"}] * 3)
    engine.step_clock(timedelta(seconds=11))
    assert [job["job_id"] for job in engine.claim(limit=2)["jobs"]] == high
