import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine

Row = dict[str, Any]
ERROR = {"code": "boom", "message": "It broke."}
OPERATOR = {"app_metadata": {"filaviva_role": "operator"}}


def fail(engine: Engine, *jobs: dict[str, Any]) -> list[str]:
    """Enqueue and reject: dead letters."""
    ids = engine.enqueue(*jobs)
    for _ in ids:
        engine.settle(engine.claim_one(), "reject", error=ERROR)
    return ids


def unconfirm(engine: Engine) -> str:
    """A claimed job whose end nobody can tell."""
    job = engine.claim_one()
    engine.call("commit_job", job["job_id"], job["claim_id"], {"upload": "u"}, False, 60)
    engine.settle(job, "unconfirmed", error=ERROR)
    job_id: str = job["job_id"]
    return job_id


def run_past_the_commit(engine: Engine, count: int) -> list[Row]:
    """Enqueue, claim and commit."""
    engine.enqueue(*[{"kind": "task"}] * count)
    jobs: list[Row] = engine.claim("work", count)["jobs"]
    for job in jobs:
        engine.call("commit_job", job["job_id"], job["claim_id"], {"upload": "u"}, False, 60)
    return jobs


def pages(engine: Engine, function: str, filter_: Row, *arguments: object) -> Iterator[Row]:
    """What a caller gets who hands each cursor back until there is none."""
    answer = engine.call(function, filter_, *arguments)
    yield answer
    while answer["cursor"] is not None:
        answer = engine.call(function, {**filter_, "after": answer["cursor"]}, *arguments)
        yield answer


def refusal(caught: pytest.ExceptionInfo[psycopg.Error]) -> tuple[str | None, str | None]:
    return caught.value.sqlstate, caught.value.diag.message_detail


def test_a_paused_queue_takes_jobs_and_gives_none(engine: Engine) -> None:
    engine.call("pause_queue", "work")
    [job_id] = engine.enqueue({"kind": "task"})
    assert engine.claim() == {"jobs": [], "next_due_in_ms": None, "state": "paused"}
    assert engine.call("due_queues") == []
    with pytest.raises(psycopg.Error, match="paused") as caught:
        engine.call("claim_job", job_id, "w1", uuid.uuid4())
    assert refusal(caught) == ("PT409", "not_claimable")
    engine.call("resume_queue", "work")
    assert engine.claim_one()["job_id"] == job_id


def test_what_runs_goes_on_through_a_pause(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.call("pause_queue", "work")
    assert engine.settle(job, "done")["applied"] == "ok"


def test_pausing_and_resuming_wake_as_they_should(engine: Engine) -> None:
    engine.call("configure_drain", "http://127.0.0.1:9/", "t", 200)
    engine.call("pause_queue", "work")
    engine.enqueue({"kind": "task"})
    assert engine.call("tick")["kicked"] == 0
    assert engine.value("select count(*) from net.http_request_queue") == 0
    engine.call("resume_queue", "work")
    assert engine.value("select count(*) from net.http_request_queue") == 1


def test_dead_letters_are_put_back_with_fresh_attempts(engine: Engine) -> None:
    ids = fail(engine, {"kind": "task", "max_attempts": 2}, {"kind": "task"})
    assert engine.call("redrive_jobs", {"error_code": "boom"}, True, 10)["matched"] == 2
    assert engine.claim()["jobs"] == [], "a dry run changes nothing"
    answer = engine.call("redrive_jobs", {"error_code": "boom"}, False, 10)
    assert (answer["changed"], answer["job_ids"], answer["cursor"]) == (2, ids, None)
    assert [job["attempt"] for job in engine.claim()["jobs"]] == [1, 1]


def test_a_redriven_job_takes_its_old_place_in_its_group(engine: Engine) -> None:
    grouped = {"kind": "task", "group_key": "g"}
    [old] = fail(engine, grouped)
    [new] = engine.enqueue(grouped)
    engine.call("redrive_jobs", {"ids": [old]}, False, 10)
    order = []
    for _ in range(2):
        job = engine.claim_one()
        order.append(job["job_id"])
        engine.settle(job, "done")
    assert order == [old, new]


def test_a_redriven_job_waits_behind_the_head_that_runs(engine: Engine) -> None:
    grouped = {"kind": "task", "group_key": "g"}
    [old] = fail(engine, grouped)
    engine.enqueue(grouped)
    running = engine.claim_one()
    engine.call("redrive_jobs", {"ids": [old]}, False, 10)
    assert engine.claim()["jobs"] == []
    engine.settle(running, "done")
    assert engine.claim_one()["job_id"] == old


def test_nobody_redrives_another_users_jobs(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job = engine.claim_one()
    engine.settle(job, "reject", error=ERROR)
    assert engine.call_as(bob, "redrive_jobs", {"ids": [job["job_id"]]}, False, 10)["changed"] == 0
    assert engine.call_as(alice, "redrive_jobs", {"ids": [job["job_id"]]}, False, 10)["changed"] == 1


def test_only_dead_letters_are_redriven(engine: Engine) -> None:
    engine.enqueue({"kind": "task"}, {"kind": "task"}, {"kind": "task"})
    engine.settle(engine.claim_one(), "done")
    unconfirm(engine)
    assert engine.call("redrive_jobs", {"queue": "work"}, False, 10)["changed"] == 0


@pytest.mark.parametrize("dry_run", [True, False])
def test_all_dead_letters_are_redriven_page_by_page_whatever_lies_between(engine: Engine, dry_run: bool) -> None:
    for job in run_past_the_commit(engine, 3):
        engine.settle(job, "reject", error=ERROR)
    ids = fail(engine, *[{"kind": "task"}] * 4)
    answers = list(pages(engine, "redrive_jobs", {"error_code": "boom"}, dry_run, 3))
    assert [answer["matched"] for answer in answers] == [3, 1]
    assert sum(answer["changed"] for answer in answers) == (0 if dry_run else 4)
    assert [job_id for answer in answers for job_id in answer["job_ids"]] == ids


def test_what_fails_again_at_once_is_not_redriven_twice(engine: Engine) -> None:
    ids = fail(engine, *[{"kind": "task"}] * 4)
    seen = []
    for answer in pages(engine, "redrive_jobs", {"error_code": "boom"}, False, 2):
        seen += answer["job_ids"]
        for job in engine.claim()["jobs"]:
            engine.settle(job, "reject", error=ERROR)
    assert seen == ids


def test_all_that_can_be_cancelled_is_page_by_page_whatever_lies_between(engine: Engine) -> None:
    run_past_the_commit(engine, 3)
    waiting = engine.enqueue(*[{"kind": "task"}] * 4)
    answers = list(pages(engine, "cancel_jobs", {"queue": "work"}, 3))
    assert [(answer["matched"], answer["changed"]) for answer in answers] == [(3, 3), (1, 1)]
    assert sorted(job_id for answer in answers for job_id in answer["job_ids"]) == sorted(waiting)


def test_a_job_past_its_commit_does_not_break_the_last_page(engine: Engine) -> None:
    [waiting] = engine.enqueue({"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"})
    run_past_the_commit(engine, 1)
    answers = list(pages(engine, "cancel_jobs", {"queue": "work"}, 1))
    assert [answer["job_ids"] for answer in answers] == [[waiting], []]


def test_a_cursor_alone_is_no_condition(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    for filter_, code in (({"after": 0}, "empty_filter"), ({"queue": "work", "after": "soon"}, "invalid_field")):
        with pytest.raises(psycopg.Error) as caught:
            engine.call("cancel_jobs", filter_, 10)
        assert refusal(caught) == ("PT400", code)


def test_a_person_says_that_it_happened(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job_id = unconfirm(engine)
    answer = engine.call_as(alice, "resolve_job", job_id, True, {"seen": "by me"})
    assert answer["status"] == "completed"
    row = engine.job(job_id)
    assert (row["result"], row["error_code"], row["version"]) == ({"seen": "by me"}, None, answer["version"])


def test_a_person_says_that_it_did_not_happen(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    job_id = unconfirm(engine)
    assert engine.call_as(alice, "resolve_job", job_id, False)["status"] == "pending"
    again = engine.claim_one()
    assert (again["attempt"], again["mode"], again["committed"], again["checkpoint"]) == (1, "run", False, None)


def test_only_the_owner_resolves_and_only_what_is_unconfirmed(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    [made] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    for user, code in ((bob, ("PT404", "unknown_job")), (alice, ("PT409", "not_unconfirmed"))):
        with pytest.raises(psycopg.Error) as caught:
            engine.call_as(user, "resolve_job", made["job_id"], True)
        assert refusal(caught) == code


def test_an_unconfirmed_job_frees_its_group(engine: Engine) -> None:
    _, second = engine.enqueue(*[{"kind": "task", "group_key": "g"}] * 2)
    unconfirm(engine)
    assert engine.claim_one()["job_id"] == second


def test_statistics_name_every_status_and_only_what_one_may_see(
    engine: Engine, alice: uuid.UUID, bob: uuid.UUID
) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}, {"kind": "task"}])
    engine.settle(engine.claim_one(), "done")
    zero = {"processing": 0, "retrying": 0, "failed": 0, "cancelled": 0, "unconfirmed": 0}
    assert engine.call_as(alice, "queue_stats") == zero | {"pending": 1, "completed": 1, "total": 2}
    assert engine.call_as(bob, "queue_stats") == zero | {"pending": 0, "completed": 0, "total": 0}
    assert engine.call("queue_stats", {"queue": "work", "user_id": str(alice)})["total"] == 2
    assert engine.call("queue_stats", {"kind": "canary"})["total"] == 0


@pytest.mark.parametrize("function", ["pause_queue", "resume_queue"])
def test_queues_are_the_operators_affair(engine: Engine, alice: uuid.UUID, function: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, function, "work")
    assert refusal(caught) == ("PT403", "operator_only")
    with engine.as_role("authenticated", {"role": "authenticated", "sub": str(alice)} | OPERATOR):
        engine.value(f"select public.{function}('work')")
    with pytest.raises(psycopg.Error) as caught:
        engine.call(function, "nowhere")
    assert refusal(caught) == ("PT404", "unknown_queue")


def test_a_spent_job_that_is_redriven_may_fail_again(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task", "max_attempts": 1})
    for _ in range(2):
        assert engine.settle(engine.claim_one(), "retry", error=ERROR)["status"] == "failed"
        engine.call("redrive_jobs", {"ids": [job_id]}, False, 10)
    assert engine.value("select count(*) from public.job_attempts") == 2
    engine.step_clock(timedelta(seconds=1))
    assert engine.claim_one()["job_id"] == job_id
