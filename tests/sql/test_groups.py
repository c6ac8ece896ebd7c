import threading
from datetime import UTC, datetime, timedelta

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue


def grouped(n: int, **more: object) -> dict[str, object]:
    return {"kind": "task", "group_key": "chat-1", "payload": {"n": n}, **more}


def test_jobs_of_a_group_run_one_at_a_time_in_order(engine: Engine) -> None:
    made = engine.enqueue(*[grouped(n) for n in range(4)])
    order = []
    while jobs := engine.claim()["jobs"]:
        assert len(jobs) == 1
        order.append(jobs[0]["job_id"])
        engine.settle(jobs[0], "done")
    assert order == made


def test_groups_do_not_hold_each_other(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task", "group_key": f"chat-{n % 3}"} for n in range(9)])
    assert len(engine.claim()["jobs"]) == 3


def test_a_retrying_head_holds_its_group(engine: Engine) -> None:
    made = engine.enqueue(grouped(1), grouped(2))
    engine.settle(engine.claim_one(), "retry", error={"code": "x", "message": "y"}, after_seconds=60)
    assert engine.claim()["jobs"] == []
    engine.step_clock(timedelta(seconds=61))
    assert engine.claim()["jobs"][0]["job_id"] == made[0]


def test_a_higher_priority_comes_next_in_its_group(engine: Engine) -> None:
    made = engine.enqueue(grouped(1), grouped(2), grouped(3, priority=9))
    assert engine.claim_one()["job_id"] == made[2]


def test_a_future_job_never_blocks_its_group(engine: Engine) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    later, now = engine.enqueue(grouped(1, scheduled_at=at.isoformat()), grouped(2))
    job = engine.claim_one()
    assert job["job_id"] == now
    engine.step_clock(timedelta(hours=1, seconds=1))
    engine.call("extend_leases", [{"job_id": now, "claim_id": job["claim_id"]}])
    assert engine.claim()["jobs"] == [], "its time has come, but the group is busy"
    engine.settle(job, "done")
    assert engine.claim_one()["job_id"] == later


def test_the_gap_paces_a_group(engine: Engine) -> None:
    make_queue(engine, "paced", gap_min_ms=500, gap_max_ms=2000)
    made = engine.enqueue(*[{"kind": "task_paced", "group_key": "g"}] * 2)
    engine.settle(engine.claim_one("paced"), "done")
    answer = engine.claim("paced")
    assert answer["jobs"] == []
    assert 300 < answer["next_due_in_ms"] <= 2000
    engine.step_clock(timedelta(seconds=2))
    assert engine.claim_one("paced")["job_id"] == made[1]


def test_the_gap_holds_for_a_job_that_comes_after_the_last(engine: Engine) -> None:
    make_queue(engine, "paced", gap_min_ms=5000, gap_max_ms=5000)
    engine.enqueue({"kind": "task_paced", "group_key": "g"})
    engine.settle(engine.claim_one("paced"), "done")
    engine.enqueue({"kind": "task_paced", "group_key": "g"})
    assert engine.claim("paced")["jobs"] == []
    engine.step_clock(timedelta(seconds=6))
    assert len(engine.claim("paced")["jobs"]) == 1


def test_an_idle_group_leaves_no_row(engine: Engine) -> None:
    engine.enqueue(grouped(1))
    engine.settle(engine.claim_one(), "done")
    engine.claim()
    assert engine.value("select count(*) from filaviva.job_groups") == 0


def test_cancelling_a_waiting_head_frees_its_group(engine: Engine) -> None:
    first, second = engine.enqueue(grouped(1), grouped(2))
    engine.settle(engine.claim_one(), "release")
    engine.call("cancel_jobs", {"ids": [first]}, 10)
    assert engine.claim_one()["job_id"] == second


def test_enqueue_and_settle_of_one_group_never_miss_each_other(database: Database, engine: Engine) -> None:
    """One session enqueues into a group while another drains it: nobody is left behind."""
    total = 120

    def produce() -> None:
        with database.connect() as connection:
            own = Engine(connection)
            for n in range(total):
                own.enqueue(grouped(n))

    producer = threading.Thread(target=produce)
    producer.start()
    seen: list[int] = []
    while producer.is_alive() or len(seen) < total:
        jobs = engine.claim()["jobs"]
        assert len(jobs) <= 1
        for job in jobs:
            seen.append(job["payload"]["n"])
            engine.settle(job, "done")
    producer.join()
    assert seen == list(range(total))
