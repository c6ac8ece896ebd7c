"""Cases that once broke the engine, each with the promise it broke."""

import threading
import uuid
from datetime import timedelta

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue

ERROR = {"code": "boom", "message": "It broke."}


@pytest.mark.parametrize("at", ["infinity", "tomorrow", "4000-01-01 BC", "4000-01-01T00:00 BC", 12])
def test_a_time_that_is_none_is_refused(engine: Engine, alice: uuid.UUID, at: object) -> None:
    with pytest.raises(psycopg.Error, match="scheduled_at of job 0") as caught:
        engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "scheduled_at": at}])
    assert caught.value.sqlstate == "PT400"


@pytest.mark.parametrize("wait", [{"until": "infinity"}, {"after_seconds": 1e15}, {"after_seconds": -1}])
def test_nobody_snoozes_for_ever(engine: Engine, wait: dict[str, object]) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    with pytest.raises(psycopg.Error, match="waits for no time") as caught:
        engine.settle(job, "snooze", **wait)
    assert caught.value.sqlstate == "PT400"


def test_jobs_whose_message_came_back_are_rescued_and_block_nobody(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 3)
    engine.claim(limit=2)
    engine.connection.execute("update pgmq.q_work set vt = clock_timestamp() - interval '1 second'")
    for _ in range(2):
        engine.claim(limit=2)
    assert engine.value("select count(*) from public.jobs where status = 'processing'") == 3, "the third is reached"
    engine.step_clock(timedelta(hours=2))
    assert engine.call("rescue_jobs", 10) == 3


def test_a_user_who_goes_takes_the_slot_along(engine: Engine, alice: uuid.UUID) -> None:
    make_queue(engine, "single", concurrency=1)
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task_single"}])
    engine.claim_one("single")
    with psycopg.connect(engine.connection.info.dsn, user="supabase_admin", password="postgres") as admin:
        admin.execute("delete from auth.users where id = %s", (alice,))
    [job_id] = engine.enqueue({"kind": "task_single"})
    assert engine.claim_one("single")["job_id"] == job_id


@pytest.mark.parametrize("function", ["cancel_jobs", "redrive_jobs"])
def test_a_condition_that_is_null_matches_nobody(engine: Engine, function: str) -> None:
    engine.enqueue({"kind": "task"})
    with pytest.raises(psycopg.Error, match="is null") as caught:
        engine.call(function, {"ids": None})
    assert caught.value.sqlstate == "PT400"


def test_no_answer_is_not_a_no(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.settle(job, "unconfirmed", error=ERROR)
    for arguments in ((None,), (True, {"x": "y" * 70_000})):
        with pytest.raises(psycopg.Error, match="p_happened") as caught:
            engine.call("resolve_job", job["job_id"], *arguments)
        assert caught.value.sqlstate == "PT400"
    assert engine.job(job["job_id"])["status"] == "unconfirmed"


def test_a_redrive_that_is_unsure_is_a_dry_run(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    engine.settle(engine.claim_one(), "reject", error=ERROR)
    assert engine.call("redrive_jobs", {"ids": [job_id]}, None, 10)["changed"] == 0
    assert engine.job(job_id)["status"] == "failed"


def test_finished_jobs_do_not_hide_those_to_cancel(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 5)
    for job in engine.claim()["jobs"]:
        engine.settle(job, "done")
    engine.enqueue({"kind": "task"})
    assert engine.call("cancel_jobs", {"queue": "work"}, 5)["changed"] == 1


def test_a_snooze_of_a_job_to_be_cancelled_is_its_end(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    engine.call_as(alice, "cancel_jobs", {"ids": [job["job_id"]]}, 10)
    assert engine.settle(job, "snooze", after_seconds=3600)["status"] == "cancelled"


def test_a_claim_waits_for_no_group_that_is_just_being_made(database: Database, engine: Engine) -> None:
    engine.enqueue({"kind": "task", "group_key": "g", "scheduled_at": "2999-01-01T00:00:00Z"})
    engine.connection.execute("update public.jobs set next_run_at = now() - interval '1 second'")
    with database.connect() as other, other.transaction():
        Engine(other).enqueue({"kind": "task", "group_key": "g"})
        answers: list[object] = []
        thread = threading.Thread(target=lambda: answers.append(engine.claim()["jobs"]))
        thread.start()
        thread.join(timeout=5)
        assert answers == [[]], "it has answered while the other transaction is open"
    assert len(engine.claim()["jobs"]) == 1


def test_rescue_waits_for_no_group_that_somebody_holds(database: Database, engine: Engine) -> None:
    engine.enqueue({"kind": "task", "group_key": "g"}, {"kind": "task"})
    engine.claim()
    engine.step_clock(timedelta(minutes=1))
    with database.connect() as other, other.transaction():
        other.execute("select from filaviva.job_groups for update")
        assert engine.call("rescue_jobs", 10) == 1
    assert engine.call("rescue_jobs", 10) == 1


def test_the_same_request_while_the_first_is_open_claims_nothing(database: Database, engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 2)
    request = uuid.uuid4()
    with database.connect() as other, other.transaction():
        first = Engine(other).claim(limit=1, request=request)["jobs"]
        assert engine.claim(limit=1, request=request) == {"jobs": [], "next_due_in_ms": None, "state": "busy"}
    assert engine.claim(limit=1, request=request)["jobs"] == first


def test_one_job_claimed_by_id_is_answered_again_to_the_same_request(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task", "group_key": "free"})
    request = uuid.uuid4()
    first = engine.call("claim_job", job_id, "w1", request)
    assert engine.call("claim_job", job_id, "w1", request) == first


def test_a_repeated_key_moves_nobody(engine: Engine) -> None:
    urgent = {"kind": "task", "group_key": "g", "priority": 9, "idempotency_key": "k"}
    engine.enqueue(urgent)
    engine.settle(engine.claim_one(), "done")
    [head] = engine.enqueue({"kind": "task", "group_key": "g"})
    engine.value("select filaviva.release_groups('work', filaviva.now(), 10)")
    before = engine.job(head)
    engine.enqueue(urgent)
    assert engine.job(head) == before


def test_a_lost_claim_may_not_commit(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.step_clock(timedelta(hours=2))
    with pytest.raises(psycopg.Error, match="Another claim") as caught:
        engine.call("commit_job", job["job_id"], job["claim_id"], {}, True, 60)
    assert caught.value.diag.message_detail == "stale_claim"


def test_a_message_that_is_not_ours_harms_nobody(engine: Engine) -> None:
    engine.connection.execute("""select pgmq.send('work', '{"job_id": "abc"}')""")
    [job_id] = engine.enqueue({"kind": "task"})
    assert [job["job_id"] for job in engine.claim()["jobs"]] == [job_id]
    assert engine.messages() == [(job_id, True)]


def test_an_unknown_condition_of_the_statistics_is_named(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error, match="'colour'") as caught:
        engine.call_as(alice, "queue_stats", {"colour": "red"})
    assert caught.value.sqlstate == "PT400"


def test_registering_again_changes_what_is_named_alone(engine: Engine) -> None:
    engine.call("register_kind", "task", {"queue": "work", "max_attempts": 7})
    engine.call("register_kind", "task", {"timeout_seconds": 9})
    row = engine.connection.execute(
        "select queue, max_attempts, timeout_seconds, user_may_enqueue from public.kinds where kind = 'task'"
    ).fetchone()
    assert row == ("work", 7, 9, True)


def test_more_room_wakes_the_drain(engine: Engine) -> None:
    engine.call("configure_drain", "http://127.0.0.1:9/", "t", 200)
    engine.call("create_queue", "work", {"concurrency": 50})
    assert engine.value("select count(*) from net.http_request_queue") == 1
