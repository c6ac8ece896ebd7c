import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.sql.conftest import Engine


def test_a_waiting_job_ends_at_once(engine: Engine, alice: uuid.UUID) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    jobs = [{"kind": "task"}, {"kind": "task", "scheduled_at": at}, {"kind": "task", "priority": 4}]
    ids = [r["job_id"] for r in engine.call_as(alice, "enqueue_jobs", jobs)]
    answer = engine.call_as(alice, "cancel_jobs", {"ids": ids}, 100)
    assert (answer["matched"], answer["changed"], answer["cursor"]) == (3, 3, None)
    assert {engine.job(i)["status"] for i in ids} == {"cancelled"}
    assert engine.messages() == []
    assert engine.claim()["jobs"] == []


def test_a_processing_job_is_asked_and_a_result_that_arrives_wins(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    engine.call_as(alice, "cancel_jobs", {"ids": [job["job_id"]]}, 100)
    row = engine.job(job["job_id"])
    assert row["status"] == "processing"
    assert row["cancel_requested_at"] is not None
    assert engine.settle(job, "done")["status"] == "completed"


def test_a_retry_of_a_job_to_be_cancelled_is_its_end(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    engine.call_as(alice, "cancel_jobs", {"ids": [job["job_id"]]}, 100)
    assert engine.settle(job, "retry", error={"code": "x", "message": "y"})["status"] == "cancelled"


def test_nobody_cancels_another_users_jobs(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    [made] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    assert engine.call_as(bob, "cancel_jobs", {"ids": [made["job_id"]]}, 100)["matched"] == 0
    assert engine.call_as(bob, "cancel_jobs", {"queue": "work"}, 100)["matched"] == 0
    assert engine.job(made["job_id"])["status"] == "pending"


def test_operators_cancel_by_condition(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    for user in (alice, bob):
        engine.call_as(user, "enqueue_jobs", [{"kind": "task"}, {"kind": "task"}])
    assert engine.call("cancel_jobs", {"user_id": str(bob)}, 100)["changed"] == 2
    assert engine.call("cancel_jobs", {"queue": "work"}, 1)["changed"] == 1
    assert engine.value("select count(*) from public.jobs where status = 'pending'") == 1


@pytest.mark.parametrize(
    ("condition", "code"), [({}, "empty_filter"), ({"colour": "red"}, "unknown_field"), ({"ids": "x"}, "invalid_field")]
)
def test_a_wrong_filter_cancels_nothing(engine: Engine, condition: object, code: str) -> None:
    engine.enqueue({"kind": "task"})
    with pytest.raises(psycopg.Error) as caught:
        engine.call("cancel_jobs", condition, 100)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT400", code)
