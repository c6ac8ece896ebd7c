import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, Json, make_queue

EVERYWHERE: list[Json] = [
    {"kind": "task"},
    {"kind": "task", "priority": 7},
    {"kind": "task", "group_key": "g"},
    {"kind": "task", "group_key": "g"},
    {"kind": "task", "scheduled_at": "2999-01-01T00:00:00Z"},
]


def statuses(engine: Engine) -> dict[str, int]:
    return dict(engine.connection.execute("select status, count(*) from public.jobs group by 1").fetchall())


def test_a_dry_run_is_the_default_and_changes_nothing(engine: Engine) -> None:
    ids = engine.enqueue(*EVERYWHERE)
    for answer in (engine.call("purge_queue", "work"), engine.call("purge_queue", "work", True)):
        assert (answer["matched"], answer["changed"], answer["cursor"]) == (5, 0, None)
        assert sorted(answer["job_ids"]) == sorted(ids)
    assert statuses(engine) == {"pending": 5}


def test_everything_that_waits_is_cancelled_wherever_it_waits(engine: Engine) -> None:
    make_queue(engine, "other")
    engine.enqueue({"kind": "task_other"}, {"kind": "task"})
    engine.settle(engine.claim_one(), "retry", error={"code": "x", "message": "y"}, after_seconds=60)
    ids = engine.enqueue(*EVERYWHERE)
    answer = engine.call("purge_queue", "work", False)
    assert (answer["matched"], answer["changed"], answer["cursor"]) == (6, 6, None)
    assert set(ids) < set(answer["job_ids"])
    assert statuses(engine) == {"cancelled": 6, "pending": 1}
    assert engine.messages() == []
    assert engine.claim()["jobs"] == []
    assert len(engine.claim("other")["jobs"]) == 1


def test_what_runs_goes_on(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task", "group_key": "g"}] * 2)
    running = engine.claim_one()
    assert engine.call("purge_queue", "work", False)["changed"] == 1
    assert engine.settle(running, "done") == {"job_id": running["job_id"], "applied": "ok", "status": "completed"}


def test_a_job_past_its_point_of_no_return_finds_its_end(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    job = engine.claim_one()
    engine.call("commit_job", job["job_id"], job["claim_id"], {"upload": "u"}, False, 60)
    engine.settle(job, "snooze", after_seconds=60)
    assert engine.call("purge_queue", "work", False) == {"matched": 0, "changed": 0, "job_ids": [], "cursor": None}
    assert engine.job(job["job_id"])["status"] == "retrying"


def test_a_group_goes_on_after_a_purge(engine: Engine) -> None:
    grouped = {"kind": "task", "group_key": "g"}
    engine.enqueue(grouped, grouped)
    engine.call("purge_queue", "work", False)
    [new] = engine.enqueue(grouped)
    assert engine.claim_one()["job_id"] == new


def test_a_long_queue_is_purged_in_calls_of_a_thousand(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 2300)
    assert engine.call("purge_queue", "work")["matched"] == 2300
    answers = [engine.call("purge_queue", "work", False)]
    while answers[-1]["cursor"] is not None:
        answers.append(engine.call("purge_queue", "work", False))
    assert [answer["changed"] for answer in answers] == [1000, 1000, 300]
    assert statuses(engine) == {"cancelled": 2300}


def test_a_purge_that_meets_a_claim_leaves_its_jobs_alone(database: Database, engine: Engine) -> None:
    ids = engine.enqueue(*[{"kind": "task"}] * 4)
    with database.connect() as claimer, database.connect() as purger, ThreadPoolExecutor(1) as thread:
        with claimer.transaction():
            claimed = [job["job_id"] for job in Engine(claimer).claim(limit=2)["jobs"]]
            purge = thread.submit(Engine(purger).call, "purge_queue", "work", False)
            wait_until_blocked(engine, purger.info.backend_pid)
        answer = purge.result(timeout=10)
    assert (answer["matched"], answer["changed"]) == (4, 2), "the claim was not committed when it looked"
    assert {*claimed, *answer["job_ids"]} == set(ids)
    assert statuses(engine) == {"processing": 2, "cancelled": 2}


def wait_until_blocked(engine: Engine, pid: int) -> None:
    """Returns when a session waits for a lock that another one holds."""
    deadline = time.monotonic() + 10
    while not engine.value("select cardinality(pg_blocking_pids(%s)) > 0", pid):
        assert time.monotonic() < deadline, "it never waited"


def test_purging_is_for_operators_and_queues_that_exist(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, "purge_queue", "work", False)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT403", "operator_only")
    with pytest.raises(psycopg.Error) as caught:
        engine.call("purge_queue", "nowhere", False)
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT404", "unknown_queue")
