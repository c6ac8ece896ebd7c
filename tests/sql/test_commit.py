"""The point of no return: after it, nothing but the handler's own word runs a job again."""

import uuid
from datetime import timedelta

import psycopg
import pytest

from tests.sql.conftest import Engine, Json

UNKNOWN = {"code": "timeout", "message": "No answer."}


def commit(engine: Engine, job: Json, *, reconcilable: bool = True) -> Json:
    answer: Json = engine.call("commit_job", job["job_id"], job["claim_id"], {"upload": "u1"}, reconcilable, 60)
    return answer


def refused(engine: Engine, job: Json) -> str | None:
    with pytest.raises(psycopg.Error) as caught:
        commit(engine, job)
    assert caught.value.sqlstate == "PT409"
    return caught.value.diag.message_detail


def test_commit_keeps_the_checkpoint_and_lengthens_the_lease(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    assert commit(engine, job)["lease_expires_at"] > job["lease_expires_at"]
    engine.settle(job, "snooze", after_seconds=0)
    again = engine.claim_one()
    assert (again["committed"], again["checkpoint"], again["mode"]) == (True, {"upload": "u1"}, "run")


def test_an_unknown_end_is_reconciled_without_spending_an_attempt(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "max_attempts": 1})
    job = engine.claim_one()
    commit(engine, job)
    assert engine.settle(job, "unconfirmed", error=UNKNOWN, after_seconds=0)["status"] == "retrying"
    again = engine.claim_one()
    assert (again["mode"], again["attempt"], again["checkpoint"]) == ("reconcile", 1, {"upload": "u1"})
    assert engine.settle(again, "done")["status"] == "completed"


def test_reconcile_may_find_that_it_did_not_happen(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "max_attempts": 2})
    job = engine.claim_one()
    commit(engine, job)
    engine.settle(job, "unconfirmed", error=UNKNOWN, after_seconds=0)
    engine.settle(engine.claim_one(), "retry", error=UNKNOWN, after_seconds=0)
    again = engine.claim_one()
    assert (again["mode"], again["attempt"], again["committed"], again["checkpoint"]) == ("run", 2, False, None)


def test_what_nobody_can_tell_is_unconfirmed(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    commit(engine, job)
    engine.settle(job, "unconfirmed", error=UNKNOWN, after_seconds=0)
    assert engine.settle(engine.claim_one(), "unconfirmed", error=UNKNOWN)["status"] == "unconfirmed"
    assert engine.claim()["jobs"] == []


def test_without_reconcile_an_unknown_end_is_unconfirmed_at_once(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    commit(engine, job, reconcilable=False)
    assert engine.settle(job, "unconfirmed", error=UNKNOWN)["status"] == "unconfirmed"


@pytest.mark.parametrize(("reconcilable", "status"), [(True, "retrying"), (False, "unconfirmed")])
def test_a_worker_lost_after_the_commit_is_never_run_blindly(engine: Engine, reconcilable: bool, status: str) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    commit(engine, job, reconcilable=reconcilable)
    engine.step_clock(timedelta(seconds=61))
    assert engine.call("rescue_jobs", 10) == 1
    row = engine.job(job["job_id"])
    assert (row["status"], row["mode"]) == (status, "reconcile" if reconcilable else "run")


def test_a_worker_lost_while_finding_out_proves_nothing(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "max_attempts": 1})
    job = engine.claim_one()
    commit(engine, job)
    engine.settle(job, "unconfirmed", error=UNKNOWN, after_seconds=0)
    engine.claim_one()
    engine.step_clock(timedelta(seconds=61))
    assert engine.call("rescue_jobs", 10) == 1
    engine.step_clock(timedelta(seconds=6))
    again = engine.claim_one()
    assert (again["mode"], again["checkpoint"]) == ("reconcile", {"upload": "u1"})
    assert engine.settle(again, "done")["status"] == "completed"


def test_a_committed_job_does_not_fail_by_count(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "max_attempts": 1})
    job = engine.claim_one()
    commit(engine, job)
    engine.step_clock(timedelta(seconds=61))
    engine.call("rescue_jobs", 10)
    assert engine.job(job["job_id"])["status"] == "retrying"


def test_a_stale_claim_may_not_commit(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.step_clock(timedelta(seconds=31))
    engine.call("rescue_jobs", 10)
    assert refused(engine, job) == "stale_claim"


def test_a_cancelled_job_may_not_commit(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    engine.call_as(alice, "cancel_jobs", {"ids": [job["job_id"]]}, 10)
    assert refused(engine, job) == "cancel_requested"
    assert engine.settle(job, "cancelled")["status"] == "cancelled"


def test_after_the_commit_there_is_nothing_left_to_cancel(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    commit(engine, job)
    with pytest.raises(psycopg.Error, match="point of no return") as caught:
        engine.call_as(alice, "cancel_jobs", {"ids": [job["job_id"]]}, 10)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT409", "already_committed")
