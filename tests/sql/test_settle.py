import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine, Json, make_queue

ERROR = {"code": "boom", "message": "It broke.", "details": {"http": 500}}


def test_done_completes_the_job_and_removes_its_message(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    assert engine.settle(job, "done", result={"ok": 1}) == {
        "job_id": job["job_id"],
        "applied": "ok",
        "status": "completed",
    }
    row = engine.job(job["job_id"])
    assert (row["status"], row["result"], row["progress"], row["version"]) == ("completed", {"ok": 1}, 100, 3)
    assert row["finished_at"] is not None
    assert engine.messages() == []
    assert engine.value("select count(*) from public.job_attempts") == 0, "the happy path writes no attempt"


def test_settling_twice_changes_nothing(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.settle(job, "done")
    before = engine.job(job["job_id"])
    assert engine.settle(job, "retry", error=ERROR)["applied"] == "already"
    assert engine.job(job["job_id"]) == before


def test_a_stale_claim_cannot_settle(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    slow = engine.claim_one()
    engine.step_clock(timedelta(minutes=1))
    engine.call("rescue_jobs", 10)
    engine.step_clock(timedelta(minutes=1))
    assert engine.settle(slow, "done")["applied"] == "stale"
    quick = engine.claim_one()
    assert engine.settle(slow, "done")["applied"] == "stale"
    assert engine.settle(quick, "done")["applied"] == "ok"


def test_an_unknown_job_is_gone(engine: Engine) -> None:
    job = {"job_id": str(uuid.uuid4()), "claim_id": 1}
    assert engine.settle(job, "done")["applied"] == "gone"


def test_a_retry_waits_with_backoff_and_keeps_its_reason(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    assert engine.settle(job, "retry", error=ERROR)["status"] == "retrying"
    row = engine.job(job["job_id"])
    assert (row["error_code"], row["error_message"], row["waiting_reason"]) == ("boom", "It broke.", "backoff")
    assert row["next_run_at"] - row["updated_at"] <= timedelta(seconds=2)
    engine.step_clock(timedelta(seconds=3))
    again = engine.claim_one()
    assert (again["job_id"], again["attempt"]) == (job["job_id"], 2)
    attempt = engine.connection.execute(
        "select attempt, outcome, error_code, error_details, worker_id from public.job_attempts"
    ).fetchall()
    assert attempt == [(1, "retry", "boom", {"http": 500}, "w1")]


def test_a_providers_delay_wins_over_the_backoff(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.settle(job, "retry", error=ERROR, after_seconds=90)
    row = engine.job(job["job_id"])
    assert row["next_run_at"] - row["updated_at"] == timedelta(seconds=90)


def test_spent_attempts_end_as_a_dead_letter(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "max_attempts": 2})
    for expected in ("retrying", "failed"):
        assert engine.settle(engine.claim_one(), "retry", error=ERROR, after_seconds=0)["status"] == expected
    assert engine.claim()["jobs"] == []
    assert engine.messages() == []


def test_reject_fails_at_once(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    assert engine.settle(engine.claim_one(), "reject", error=ERROR)["status"] == "failed"


def test_a_snooze_spends_no_attempt_and_brings_its_checkpoint_back(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "max_attempts": 1})
    for turn in range(4):
        job = engine.claim_one()
        assert job["attempt"] == 1
        assert job["checkpoint"] == ({"turn": turn - 1} if turn else None)
        engine.settle(job, "snooze", after_seconds=30, checkpoint={"turn": turn})
        assert engine.job(job["job_id"])["waiting_reason"] == "polling"
        engine.step_clock(timedelta(seconds=31))
    engine.settle(engine.claim_one(), "done")
    assert engine.value("select count(*) from filaviva.job_checkpoints") == 0


def test_a_snooze_can_name_its_moment(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    until = datetime.now(UTC) + timedelta(minutes=5)
    job = engine.claim_one()
    engine.settle(job, "snooze", until=until.isoformat())
    assert engine.job(job["job_id"])["next_run_at"] == until


def test_too_many_snoozes_end_the_job(engine: Engine) -> None:
    make_queue(engine, "impatient", max_snoozes=2)
    engine.enqueue({"kind": "task_impatient"})
    statuses = [engine.settle(engine.claim_one("impatient"), "snooze", after_seconds=0)["status"] for _ in range(3)]
    assert statuses == ["retrying", "retrying", "failed"]


def test_release_gives_the_attempt_back(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    assert engine.settle(engine.claim_one(), "release")["status"] == "pending"
    assert engine.job(job_id)["attempt"] == 0
    assert engine.claim_one()["attempt"] == 1


def test_settle_and_claim_does_both(engine: Engine) -> None:
    engine.enqueue({"kind": "task"}, {"kind": "task"})
    job = engine.claim_one()
    results = [{"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"}]
    answer = engine.call("settle_and_claim", results, "work", 5, "w1", uuid.uuid4())
    assert answer["settled"][0]["applied"] == "ok"
    assert len(answer["claimed"]["jobs"]) == 1


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        ({"outcome": "done"}, "needs job_id"),
        ({"job_id": str(uuid.uuid4()), "claim_id": 1, "outcome": "exploded"}, "no known outcome"),
        ({"job_id": str(uuid.uuid4()), "claim_id": 1, "outcome": "snooze"}, "without until"),
        ({"job_id": str(uuid.uuid4()), "claim_id": 1, "outcome": "done", "result": {"x": "y" * 70_000}}, "64 KB"),
        ({"job_id": "x", "claim_id": 1, "outcome": "done"}, "cannot be read"),
    ],
)
def test_a_wrong_element_is_named_and_nothing_is_settled(engine: Engine, element: Json, problem: str) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    good = {"job_id": job["job_id"], "claim_id": job["claim_id"], "outcome": "done"}
    with pytest.raises(psycopg.Error, match=problem) as caught:
        engine.call("settle_jobs", [good, element])
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT400", "invalid_results")
    assert engine.job(job["job_id"])["status"] == "processing"


def test_leases_are_renewed_and_tell_of_a_wish_to_cancel(engine: Engine, alice: uuid.UUID) -> None:
    [made] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    engine.step_clock(timedelta(seconds=20))
    lease = {"job_id": job["job_id"], "claim_id": job["claim_id"], "progress": 40, "note": "half way"}
    stale = {"job_id": job["job_id"], "claim_id": job["claim_id"] + 1}
    renewed, lost = engine.call("extend_leases", [lease, stale])
    assert datetime.fromisoformat(renewed["lease_expires_at"]) > datetime.fromisoformat(job["lease_expires_at"])
    assert renewed["cancel_requested"] is False
    assert lost == {"job_id": job["job_id"], "stale": True}
    row = engine.job(job["job_id"])
    assert (row["progress"], row["progress_note"]) == (40, "half way")
    engine.call_as(alice, "cancel_jobs", {"ids": [made["job_id"]]}, 10)
    assert engine.call("extend_leases", [lease])[0]["cancel_requested"] is True


BACKOFF = [(1, 2), (2, 4), (3, 8), (6, 64), (9, 512), (10, 600), (1000, 600)]


@pytest.mark.parametrize(("attempt", "seconds"), BACKOFF)
def test_backoff_doubles_up_to_its_cap(engine: Engine, attempt: int, seconds: int) -> None:
    assert engine.value("select filaviva.backoff_seconds(%s, 2, 2, 600)", attempt) == seconds


def test_the_jitter_is_spread_over_the_whole_wait(engine: Engine) -> None:
    make_queue(engine, "slow", backoff_base_seconds=100, backoff_factor=1, max_attempts=100)
    ids = engine.enqueue(*[{"kind": "task_slow"}] * 200)
    for job in engine.claim("slow", 200)["jobs"]:
        engine.settle(job, "retry", error=ERROR)
    waits: list[Any] = [engine.job(i)["next_run_at"] - engine.job(i)["updated_at"] for i in ids]
    assert all(timedelta(0) <= wait <= timedelta(seconds=100) for wait in waits)
    assert min(waits) < timedelta(seconds=15)
    assert max(waits) > timedelta(seconds=85)


def test_updates_of_the_busy_path_are_hot(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 500)
    for job in engine.claim(limit=500)["jobs"]:
        engine.settle(job, "done")
    engine.connection.execute("select pg_stat_force_next_flush()")
    updates, hot = engine.connection.execute(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'public.jobs'::regclass"
    ).fetchone() or (0, 0)
    assert updates == 1000
    assert hot >= 0.95 * updates
