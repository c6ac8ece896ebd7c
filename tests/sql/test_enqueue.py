import json
import threading
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue


def refusal(engine: Engine, user: uuid.UUID | None, *jobs: object) -> tuple[str | None, str | None, str | None]:
    """(SQLSTATE, machine code, message) of an enqueue that must fail."""
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(user, "enqueue_jobs", list(jobs))
    return caught.value.sqlstate, caught.value.diag.message_detail, caught.value.diag.message_primary


def test_a_job_belongs_to_the_signed_in_user(engine: Engine, alice: uuid.UUID) -> None:
    [result] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "payload": {"n": 1}}])
    assert result == {
        "job_id": result["job_id"],
        "status": "pending",
        "duplicate": False,
        "scheduled_at": None,
        "version": 1,
    }
    job = engine.job(result["job_id"])
    assert (job["user_id"], job["queue"], job["payload"], job["max_attempts"]) == (alice, "work", {"n": 1}, 3)


def test_row_and_message_are_written_together(engine: Engine) -> None:
    ids = engine.enqueue({"kind": "task"}, {"kind": "task"})
    assert engine.messages() == [(ids[0], False), (ids[1], False)]
    assert [engine.job(i)["msg_id"] for i in ids] == [1, 2]


def test_the_batch_is_all_or_nothing(engine: Engine, alice: uuid.UUID) -> None:
    assert refusal(engine, alice, {"kind": "task"}, {"kind": "nothing_like_it"})[:2] == ("PT400", "unknown_kind")
    assert engine.value("select count(*) from public.jobs") == 0
    assert engine.messages() == []


@pytest.mark.parametrize(
    ("job", "state", "code", "names"),
    [
        ({"payload": {}}, "PT400", "invalid_field", "kind of job 0"),
        ({"kind": "task", "colour": "red"}, "PT400", "unknown_field", "'colour'"),
        ({"kind": "task", "payload": [1]}, "PT400", "invalid_field", "payload of job 0"),
        ({"kind": "task", "priority": 11}, "PT400", "invalid_field", "priority of job 0"),
        ({"kind": "task", "priority": 1.5}, "PT400", "invalid_field", "priority of job 0"),
        ({"kind": "task", "max_attempts": 0}, "PT400", "invalid_field", "max_attempts of job 0"),
        ({"kind": "task", "group_key": ""}, "PT400", "invalid_field", "group_key of job 0"),
        ({"kind": "task", "scheduled_at": "soon"}, "PT400", "invalid_field", "scheduled_at of job 0"),
        ({"kind": "task", "queue": "elsewhere"}, "PT400", "unknown_queue", "elsewhere"),
        ({"kind": "task", "payload": {"x": "y" * 260_000}}, "PT413", "payload_too_large", "job 0"),
        ("task", "PT400", "invalid_jobs", "must be an object"),
    ],
)
def test_a_wrong_field_is_named(
    engine: Engine, alice: uuid.UUID, job: object, state: str, code: str, names: str
) -> None:
    sqlstate, machine_code, message = refusal(engine, alice, job)
    assert (sqlstate, machine_code) == (state, code)
    assert names in str(message)
    assert engine.value("select count(*) from public.jobs") == 0


def test_nobody_enqueues_for_another_user(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    assert refusal(engine, alice, {"kind": "task", "user_id": str(bob)})[:2] == ("PT403", "foreign_user")


def test_without_a_user_nothing_is_enqueued(engine: Engine) -> None:
    assert refusal(engine, None, {"kind": "task"})[:2] == ("PT401", "not_signed_in")


def test_a_user_who_is_gone_enqueues_nothing(engine: Engine) -> None:
    assert refusal(engine, uuid.uuid4(), {"kind": "task"})[:2] == ("PT400", "unknown_user")


def test_anonymous_callers_have_no_right_to_the_function(engine: Engine) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role("anon"):
        engine.value("select public.enqueue_jobs('[]')")


def test_some_kinds_are_for_the_service_alone(engine: Engine, alice: uuid.UUID) -> None:
    engine.call("register_kind", "internal", {"queue": "work"})
    assert refusal(engine, alice, {"kind": "internal"})[:2] == ("PT403", "service_only")
    assert len(engine.enqueue({"kind": "internal"})) == 1


def test_the_same_key_and_body_give_the_first_job(engine: Engine, alice: uuid.UUID) -> None:
    job = {"kind": "task", "payload": {"n": 1}, "idempotency_key": "k"}
    [first] = engine.call_as(alice, "enqueue_jobs", [job])
    [again] = engine.call_as(alice, "enqueue_jobs", [job])
    assert (again["job_id"], again["duplicate"]) == (first["job_id"], True)
    assert engine.value("select count(*) from public.jobs") == 1
    assert len(engine.messages()) == 1


def test_the_same_key_with_another_body_is_a_conflict(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "payload": {"n": 1}, "idempotency_key": "k"}])
    other = {"kind": "task", "payload": {"n": 2}, "idempotency_key": "k"}
    assert refusal(engine, alice, other)[:2] == ("PT409", "idempotency_conflict")


def test_a_key_repeated_within_one_call_makes_one_job(engine: Engine) -> None:
    job = {"kind": "task", "idempotency_key": "k"}
    results = engine.call("enqueue_jobs", [job, {"kind": "task"}, job])
    assert [r["duplicate"] for r in results] == [False, False, True]
    assert results[0]["job_id"] == results[2]["job_id"]
    assert engine.value("select count(*) from public.jobs") == 2


def test_keys_of_two_owners_do_not_meet(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    job = {"kind": "task", "idempotency_key": "k"}
    results = [engine.call_as(user, "enqueue_jobs", [job])[0] for user in (alice, bob, alice)]
    assert [r["duplicate"] for r in results] == [False, False, True]


def test_the_same_key_from_many_sessions_at_once_makes_one_job(database: Database, engine: Engine) -> None:
    answers: list[str] = []

    def enqueue() -> None:
        with database.connect() as connection:
            other = Engine(connection)
            answers.extend(other.enqueue({"kind": "task", "idempotency_key": "k", "payload": {"n": 1}}))

    threads = [threading.Thread(target=enqueue) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert engine.messages() == [(answers[0], False)]


def test_a_scheduled_job_waits_in_jobs_until_its_time(engine: Engine) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    [job_id] = engine.enqueue({"kind": "task", "scheduled_at": at.isoformat()})
    assert engine.messages() == []
    answer = engine.claim()
    assert (answer["jobs"], answer["state"]) == ([], "empty")
    assert 3_590_000 < answer["next_due_in_ms"] <= 3_600_000
    engine.step_clock(timedelta(hours=1, seconds=1))
    assert engine.claim_one()["job_id"] == job_id
    assert engine.job(job_id)["scheduled_at"] == at


def test_pgmq_holds_no_more_than_the_window(engine: Engine) -> None:
    make_queue(engine, "narrow", window_size=3)
    ids = engine.enqueue(*[{"kind": "task_narrow"}] * 8)
    assert [i for i, _ in engine.messages("narrow")] == ids[:3]
    late = engine.enqueue({"kind": "task_narrow"})
    assert engine.job(late[0])["msg_id"] is None, "nobody overtakes those who wait"
    order = [job["job_id"] for job in engine.claim("narrow", 5)["jobs"] + engine.claim("narrow", 5)["jobs"]]
    assert order == ids + late


def test_ten_thousand_jobs_fit_one_call_and_more_do_not(engine: Engine) -> None:
    assert len(engine.enqueue(*[{"kind": "task"}] * 10_000)) == 10_000
    with pytest.raises(psycopg.Error, match=r"1 to 10,000"):
        engine.call("enqueue_jobs", json.dumps([{"kind": "task"}] * 10_001))
