"""The seed-named functions, and the reports of a consumer that works through `message_queue`."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine
from tests.sql.seed_jobs import MESSAGE, POST, job_in

FREE = MESSAGE | {"group_key": None}
STALE = "PT409 stale_claim"
DEAD_LETTER = (
    "insert into failed_messages (original_message_id, correlation_id, message_type, payload, error_message,"
    " failure_count, metadata) values (%s, null, 'envio_mensagem', '{}', %s, %s, '{}') returning *"
)


def take(engine: Engine) -> tuple[Any, ...] | None:
    """(id, correlation_id, message_type, payload, retry_count, metadata) of the next message."""
    with engine.as_role("service_role"):
        return engine.connection.execute("select * from get_next_queue_message()").fetchone()


def take_id(engine: Engine) -> str:
    taken = take(engine)
    assert taken is not None
    return str(taken[0])


def report(engine: Engine, job_id: str, **columns: object) -> Any:
    """Update message_queue as the service role; the status that comes back."""
    written = ", ".join(f"{column} = %s" for column in columns)
    with engine.as_role("service_role"):
        return engine.value(
            f"update message_queue set {written} where id = %s returning status", *columns.values(), job_id
        )


def refusal(caught: pytest.ExceptionInfo[psycopg.Error]) -> str:
    return f"{caught.value.sqlstate} {caught.value.diag.message_detail}"


# Taking -----------------------------------------------------------------------------------------


def test_the_next_message_is_that_of_highest_priority_then_the_oldest(engine: Engine) -> None:
    ids = engine.enqueue(*[FREE | {"priority": priority} for priority in (0, 0, 5, 9)])
    assert [take_id(engine) for _ in ids] == [ids[3], ids[2], ids[0], ids[1]]
    assert take(engine) is None


def test_a_message_comes_with_what_its_consumer_needs(engine: Engine) -> None:
    correlation = uuid.uuid4()
    [job_id] = engine.enqueue(FREE | {"correlation_id": str(correlation)})
    assert take(engine) == (uuid.UUID(job_id), correlation, "envio_mensagem", FREE["payload"], 1, FREE["metadata"])
    assert engine.value("select status from message_queue where processed_at is not null") == "processing"


def test_a_message_whose_time_lies_ahead_is_not_taken(engine: Engine) -> None:
    engine.enqueue(FREE | {"scheduled_at": "2999-01-01T00:00:00Z"})
    assert take(engine) is None


def test_one_message_of_a_chat_is_out_at_a_time(engine: Engine) -> None:
    first, second = engine.enqueue(MESSAGE, MESSAGE)
    assert take_id(engine) == first
    assert take(engine) is None
    report(engine, first, status="completed")
    engine.step_clock(timedelta(seconds=2))
    assert take_id(engine) == second


def test_what_came_in_goes_before_what_goes_out(engine: Engine) -> None:
    engine.enqueue(FREE)
    [event] = engine.enqueue({"kind": "processamento_webhook", "payload": {"event_id": 1}})
    assert take_id(engine) == event


def test_two_consumers_never_hold_the_same_message(database: Database, engine: Engine) -> None:
    ids = engine.enqueue(*[{"kind": "processamento_webhook"}] * 2)
    with database.connect() as other, other.transaction():
        first = take_id(Engine(other))
        assert {first, take_id(engine)} == set(ids), "the second does not wait for the first"


def test_other_queues_are_left_alone(engine: Engine) -> None:
    engine.enqueue(POST, {"kind": "task"})
    assert take(engine) is None


# Reporting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        ("completed", "completed"),
        ("retrying", "retrying"),
        ("pending", "pending"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("unconfirmed", "unconfirmed"),
    ],
)
def test_an_update_of_status_settles_the_message(engine: Engine, status: str, becomes: str) -> None:
    engine.enqueue(FREE)
    job_id = take_id(engine)
    assert report(engine, job_id, status=status) == becomes
    row = engine.job(job_id)
    assert (row["status"], row["attempt"]) == (becomes, 0 if status == "pending" else 1)
    assert row["error_code"] == (None if status in {"completed", "pending", "cancelled"} else "consumer_error")


def test_an_update_says_why_and_until_when(engine: Engine) -> None:
    engine.enqueue(FREE)
    job_id = take_id(engine)
    at = datetime.fromisoformat("2999-01-01T00:00:00+00:00")
    report(engine, job_id, status="retrying", error_message="timeout", scheduled_at=at, processed_at=at)
    row = engine.job(job_id)
    assert (row["error_message"], row["next_run_at"], row["started_at"] < at) == ("timeout", at, True)
    assert engine.value("select scheduled_at from message_queue") == at


def test_a_message_whose_attempts_are_spent_is_a_dead_letter(engine: Engine) -> None:
    engine.enqueue(FREE | {"max_attempts": 1})
    job_id = take_id(engine)
    assert report(engine, job_id, status="retrying", error_message="timeout") == "failed"
    row = engine.connection.execute("select id, error_message, failure_count from failed_messages").fetchone()
    assert row == (uuid.UUID(job_id), "timeout", 1)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "processing"}, "'processing'"),
        ({"status": "done"}, "'done'"),
        ({"error_message": "late"}, "'processing'"),
        ({"status": "completed", "payload": "{}"}, "only status, error_message and scheduled_at"),
        ({"status": "completed", "user_id": uuid.uuid4()}, "only status, error_message and scheduled_at"),
    ],
)
def test_an_update_of_anything_else_is_refused(engine: Engine, columns: dict[str, object], words: str) -> None:
    engine.enqueue(FREE)
    job_id = take_id(engine)
    with pytest.raises(psycopg.Error, match=words) as caught:
        report(engine, job_id, **columns)
    assert refusal(caught) == "PT400 invalid_field"
    assert engine.job(job_id)["status"] == "processing"


@pytest.mark.parametrize("status", ["pending", "processing", "completed"])
def test_only_what_the_function_handed_out_can_be_reported(engine: Engine, status: str) -> None:
    job_id = job_in(engine, status, FREE)
    with pytest.raises(psycopg.Error) as caught:
        report(engine, job_id, status="completed")
    assert refusal(caught) == STALE
    with pytest.raises(psycopg.Error) as caught, engine.as_role("service_role"):
        engine.connection.execute(DEAD_LETTER, (job_id, "boom", 2))
    assert refusal(caught) == STALE
    assert engine.job(job_id)["status"] == status


def test_a_late_report_can_be_fenced_by_the_count_it_was_handed_out_with(engine: Engine) -> None:
    engine.enqueue(FREE)
    job_id = take_id(engine)
    engine.step_clock(timedelta(hours=2))
    engine.call("rescue_jobs", 10)
    engine.step_clock(timedelta(hours=1))
    assert take_id(engine) == job_id, "another consumer has it now"
    late = "update message_queue set status = 'completed' where id = %s and retry_count = 1"
    with engine.as_role("service_role"):
        assert engine.connection.execute(late, (job_id,)).rowcount == 0


def test_an_insert_into_the_dead_letters_ends_the_message_and_counts_rightly(engine: Engine) -> None:
    engine.enqueue(FREE)
    taken = take(engine)
    assert taken is not None
    with engine.as_role("service_role"):
        engine.connection.execute(DEAD_LETTER, (taken[0], "no such number", taken[4] + 1))
    row = engine.connection.execute(
        "select original_message_id, error_message, failure_count, metadata, payload from failed_messages"
    ).fetchone()
    assert row == (taken[0], "no such number", 1, FREE["metadata"], FREE["payload"]), "1 attempt was made, not 2"
    assert engine.call("redrive_jobs", {"ids": [str(taken[0])]})["changed"] == 1
    assert take_id(engine) == str(taken[0])


# The rest ---------------------------------------------------------------------------------------


def test_publications_are_processed_by_waking_the_drain_when_one_is_due(engine: Engine) -> None:
    engine.call("configure_drain", "http://127.0.0.1:9/", "t", 200)
    assert engine.call("process_publication_jobs") is False
    job_in(engine, "pending", POST)
    engine.connection.execute("update filaviva.kicks set posted_at = '-infinity'")
    assert engine.call("process_publication_jobs") is True


def test_max_concurrent_is_the_queues_concurrency_from_then_on(engine: Engine) -> None:
    concurrency = "select concurrency from public.queues where name = 'publication_queue'"
    with engine.as_role("service_role"):
        engine.connection.execute("select process_publication_jobs(max_concurrent => 2)")
    assert engine.value(concurrency) == 2
    engine.call("process_publication_jobs")
    assert engine.value(concurrency) == 2, "left out, it stays"
    engine.enqueue(*[POST] * 3)
    assert len(engine.claim("publication_queue")["jobs"]) == 2


@pytest.mark.parametrize("number", [0, -1, 1001])
def test_an_impossible_concurrency_is_refused(engine: Engine, number: int) -> None:
    with pytest.raises(psycopg.Error, match="max_concurrent") as caught:
        engine.call("process_publication_jobs", number)
    assert refusal(caught) == "PT400 invalid_field"


def test_old_jobs_are_cleaned_by_operators(engine: Engine, alice: uuid.UUID) -> None:
    ids = [job_in(engine, "completed", POST) for _ in range(2)]
    engine.connection.execute("update public.jobs set finished_at = now() - interval '8 days' where id = %s", (ids[0],))
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, "limpar_queue_jobs_antigos")
    assert refusal(caught) == "PT403 operator_only"
    assert engine.call("limpar_queue_jobs_antigos") == 1
    assert [str(row[0]) for row in engine.connection.execute("select id from queue_jobs")] == ids[1:]
