import uuid
from datetime import timedelta

from tests.sql.conftest import Engine, make_queue


def test_a_lost_worker_gives_its_job_back(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task"})
    engine.claim_one()
    assert engine.call("rescue_jobs", 10) == 0, "the lease still holds"
    engine.step_clock(timedelta(seconds=31))
    assert engine.call("rescue_jobs", 10) == 1
    row = engine.job(job_id)
    assert (row["status"], row["error_code"], row["attempt"]) == ("retrying", "worker_lost", 1)
    engine.step_clock(timedelta(seconds=3))
    assert engine.claim_one()["attempt"] == 2


def test_a_worker_lost_on_the_last_attempt_fails_the_job(engine: Engine) -> None:
    [job_id] = engine.enqueue({"kind": "task", "max_attempts": 1})
    engine.claim_one()
    engine.step_clock(timedelta(seconds=31))
    engine.call("rescue_jobs", 10)
    row = engine.job(job_id)
    assert (row["status"], row["error_code"]) == ("failed", "worker_lost")


def test_a_stalled_job_fails_where_the_queue_says_so(engine: Engine) -> None:
    make_queue(engine, "strict", stall_seconds=1800, on_stall="fail")
    [job_id] = engine.enqueue({"kind": "task_strict"})
    job = engine.claim_one("strict")
    for _ in range(89):
        engine.step_clock(timedelta(seconds=20))
        engine.call("extend_leases", [{"job_id": job["job_id"], "claim_id": job["claim_id"]}])
        assert engine.call("rescue_jobs", 10) == 0
    engine.step_clock(timedelta(seconds=21))
    assert engine.call("rescue_jobs", 10) == 1
    row = engine.job(job_id)
    assert (row["status"], row["error_code"]) == ("failed", "stalled")


def test_a_stalled_job_is_retried_where_the_queue_says_so(engine: Engine) -> None:
    make_queue(engine, "patient", stall_seconds=60, on_stall="retry")
    [job_id] = engine.enqueue({"kind": "task_patient"})
    engine.claim_one("patient")
    engine.step_clock(timedelta(seconds=61))
    engine.call("rescue_jobs", 10)
    assert engine.job(job_id)["status"] == "retrying"


def test_a_lost_job_that_its_owner_cancelled_is_cancelled(engine: Engine, alice: uuid.UUID) -> None:
    [made] = engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    engine.claim_one()
    engine.call_as(alice, "cancel_jobs", {"ids": [made["job_id"]]}, 10)
    engine.step_clock(timedelta(seconds=31))
    engine.call("rescue_jobs", 10)
    assert engine.job(made["job_id"])["status"] == "cancelled"


def test_the_sweep_gives_jobs_without_a_message_their_place_back(engine: Engine) -> None:
    waiting, running = engine.enqueue({"kind": "task"}, {"kind": "task"})
    engine.call("claim_job", running, "w1", uuid.uuid4())
    engine.connection.execute("select pgmq.purge_queue('work')")
    assert engine.claim()["jobs"] == []
    engine.step_clock(timedelta(minutes=2))
    assert engine.value("select filaviva.sweep(1000)") == 2
    engine.step_clock(timedelta(seconds=3))
    assert {job["job_id"] for job in engine.claim()["jobs"]} == {waiting, running}


def test_the_sweep_walks_in_slices_and_starts_over(engine: Engine) -> None:
    engine.enqueue(*[{"kind": "task"}] * 5)
    engine.connection.execute("select pgmq.purge_queue('work')")
    engine.step_clock(timedelta(minutes=2))
    assert [engine.value("select filaviva.sweep(2)") for _ in range(4)] == [2, 2, 1, 0]


def test_a_group_whose_row_is_gone_is_healed(engine: Engine) -> None:
    engine.enqueue({"kind": "task", "group_key": "g"})
    engine.connection.execute("delete from filaviva.job_groups")
    assert engine.claim()["jobs"] == []
    assert engine.value("select filaviva.sweep(1000)") == 1
    assert len(engine.claim()["jobs"]) == 1


def test_messages_of_no_living_job_are_removed(engine: Engine) -> None:
    [kept] = engine.enqueue({"kind": "task"})
    engine.connection.execute("select pgmq.send('work', jsonb_build_object('job_id', gen_random_uuid()))")
    engine.connection.execute("update pgmq.q_work set enqueued_at = enqueued_at - interval '2 minutes'")
    assert engine.value("select filaviva.prune_messages()") == 1
    assert [job_id for job_id, _ in engine.messages()] == [kept]


def test_finished_jobs_are_pruned_after_their_retention(engine: Engine) -> None:
    done, failed, waiting = engine.enqueue({"kind": "task"}, {"kind": "task"}, {"kind": "task"})
    jobs = {job["job_id"]: job for job in engine.claim(limit=2)["jobs"]}
    engine.settle(jobs[done], "done")
    engine.settle(jobs[failed], "reject", error={"code": "x", "message": "y"})
    assert engine.value("select filaviva.prune(100)") == 0
    engine.step_clock(timedelta(days=8))
    assert engine.value("select filaviva.prune(100)") == 1
    engine.step_clock(timedelta(days=23))
    assert engine.value("select filaviva.prune(100)") == 1
    assert engine.job(waiting)["status"] == "pending"


def test_places_of_suspects_that_stand_aside_go_to_the_next_jobs_by_priority(engine: Engine) -> None:
    make_queue(engine, "work", window_size=200, backoff_base_seconds=0)
    low = engine.enqueue(*[{"kind": "task"}] * 3)  # in pgmq's window
    suspects = engine.enqueue(*[{"kind": "task", "priority": 9, "max_attempts": 2}] * 3)
    assert len(engine.claim(limit=3)["jobs"]) == 3
    engine.step_clock(timedelta(seconds=31))
    assert engine.call("rescue_jobs", 10) == 3
    high = engine.enqueue(*[{"kind": "task", "priority": 3}] * 2)
    taken = [job["job_id"] for job in engine.claim(limit=4)["jobs"]]
    assert (taken[0] in suspects, taken[1:]) == (True, [*high, low[0]])


def test_suspects_of_the_lowest_priority_leave_their_places_to_the_window(engine: Engine) -> None:
    jobs = engine.enqueue(*[{"kind": "task", "max_attempts": 2}] * 2, *[{"kind": "task"}] * 2)
    assert [job["job_id"] for job in engine.claim(limit=2)["jobs"]] == jobs[:2]
    engine.step_clock(timedelta(seconds=31))
    assert engine.call("rescue_jobs", 10) == 2
    engine.step_clock(timedelta(seconds=3))
    assert len(engine.claim(limit=2)["jobs"]) == 2
