import threading
import uuid
from collections import Counter

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, Json, make_queue


def ids(answer: Json) -> list[str]:
    return [job["job_id"] for job in answer["jobs"]]


def test_a_claim_hands_out_all_a_worker_needs(engine: Engine, alice: uuid.UUID) -> None:
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task", "payload": {"n": 1}, "correlation_id": "c"}])
    job = engine.claim_one()
    assert job["payload"] == {"n": 1}
    assert (job["attempt"], job["mode"], job["committed"], job["checkpoint"]) == (1, "run", False, None)
    assert (job["user_id"], job["correlation_id"], job["timeout_seconds"]) == (str(alice), "c", 60)
    row = engine.job(job["job_id"])
    assert (row["status"], row["claim_id"], row["worker_id"], row["version"]) == (
        "processing",
        job["claim_id"],
        "w1",
        2,
    )


def test_higher_priority_runs_first_whatever_came_before(engine: Engine) -> None:
    priorities = [0, 0, 5, 10, 0, 5, 1]
    made = engine.enqueue(*[{"kind": "task", "priority": p} for p in priorities])
    made += engine.enqueue({"kind": "task", "priority": 10})
    order = [job for _ in range(8) for job in ids(engine.claim(limit=1))]
    assert order == [made[i] for i in (3, 7, 2, 5, 6, 0, 1, 4)]


def test_priority_holds_within_one_claim(engine: Engine) -> None:
    made = engine.enqueue(*[{"kind": "task", "priority": p} for p in (0, 3, 9)])
    assert ids(engine.claim(limit=2)) == [made[2], made[1]]
    assert ids(engine.claim(limit=2)) == [made[0]]


def test_a_claimed_job_is_not_claimed_again(engine: Engine) -> None:
    engine.enqueue({"kind": "task"})
    assert len(engine.claim()["jobs"]) == 1
    assert engine.claim()["state"] == "empty"


def test_the_same_request_gives_the_same_jobs_and_no_others(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 5)
    request = uuid.uuid4()
    first = engine.claim(limit=2, request=request)
    again = engine.claim(limit=2, request=request)
    assert again["jobs"] == first["jobs"]
    engine.settle(first["jobs"][0], "done")
    assert ids(engine.claim(limit=2, request=request)) == ids(first)[1:]


def test_concurrency_is_never_exceeded(engine: Engine) -> None:
    make_queue(engine, "pair", concurrency=2)
    engine.enqueue(*[{"kind": "task_pair"}] * 5)
    first = engine.claim("pair")
    assert len(first["jobs"]) == 2
    assert engine.claim("pair")["state"] == "enough"
    engine.settle(first["jobs"][0], "done")
    assert len(engine.claim("pair")["jobs"]) == 1


def test_many_workers_share_a_queue_without_a_double_claim(database: Database, engine: Engine) -> None:
    made = engine.enqueue(*[{"kind": "task", "priority": n % 3} for n in range(300)])
    claimed: list[str] = []

    def work(worker: str) -> None:
        with database.connect() as connection:
            own = Engine(connection)
            while jobs := own.claim(limit=7, worker=worker)["jobs"]:
                claimed.extend(job["job_id"] for job in jobs)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed.extend(ids(engine.claim(limit=300)))  # what a skipped lock left for the next claim
    assert Counter(claimed) == Counter(made)


def test_a_capped_queue_holds_its_cap_under_racing_workers(database: Database, engine: Engine) -> None:
    make_queue(engine, "three", concurrency=3)
    engine.enqueue(*[{"kind": "task_three"}] * 60)
    highest: list[int] = []

    def work() -> None:
        with database.connect() as connection:
            own = Engine(connection)
            for _ in range(25):
                answer = own.claim("three", 3)
                highest.append(own.value("select count(*) from public.jobs where status = 'processing'"))
                for job in answer["jobs"]:
                    own.settle(job, "done")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(highest) <= 3
    assert engine.value("select count(*) from public.jobs where status = 'completed'") > 0


def test_a_job_locked_elsewhere_is_skipped_and_comes_again(database: Database, engine: Engine) -> None:
    made = engine.enqueue({"kind": "task"}, {"kind": "task"})
    with database.connect() as other, other.transaction():
        other.execute("select from public.jobs where id = %s for update", (made[0],))
        assert ids(engine.claim()) == [made[1]]
    assert ids(engine.claim()) == [made[0]]


def test_an_unknown_queue_is_named(engine: Engine) -> None:
    with pytest.raises(psycopg.Error, match="no queue 'nowhere'") as caught:
        engine.claim("nowhere")
    assert caught.value.sqlstate == "PT404"


def test_users_may_not_claim(engine: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.call_as(alice, "claim_jobs", "work", 1, "me", uuid.uuid4())


def test_one_job_can_be_claimed_by_its_id(engine: Engine) -> None:
    made = engine.enqueue({"kind": "task"}, {"kind": "task", "priority": 3})
    for job_id in reversed(made):
        [job] = engine.call("claim_job", job_id, "w1", uuid.uuid4())["jobs"]
        assert job["job_id"] == job_id
    assert sorted(engine.messages()) == sorted((i, True) for i in made)
    with pytest.raises(psycopg.Error, match="being processed") as caught:
        engine.call("claim_job", made[0], "w2", uuid.uuid4())
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT409", "not_claimable")
    with pytest.raises(psycopg.Error, match="no job"):
        engine.call("claim_job", uuid.uuid4(), "w2", uuid.uuid4())


def test_due_queues_names_queues_with_work(engine: Engine) -> None:
    make_queue(engine, "idle")
    engine.enqueue({"kind": "task"})
    assert engine.call("due_queues") == [{"queue": "work"}]
    engine.claim()
    assert engine.call("due_queues") == []


def test_a_message_whose_job_is_gone_is_dropped(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    engine.connection.execute("delete from public.jobs where id = %s", (job_id,))
    assert engine.claim()["jobs"] == []
    assert engine.messages() == []
