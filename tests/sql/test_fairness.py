"""Fairness: no owner waits behind another's backlog, and an owner's own jobs keep their order."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.sql.conftest import Engine, make_queue, make_user


@pytest.fixture
def users(engine: Engine) -> list[uuid.UUID]:
    return [make_user(engine) for _ in range(3)]


def enqueue_for(engine: Engine, user: uuid.UUID, count: int, **more: object) -> list[str]:
    jobs = [{"kind": "task", "user_id": str(user), "payload": {"n": n}, **more} for n in range(count)]
    return engine.enqueue(*jobs)


def claimed(engine: Engine, limit: int) -> list[str]:
    return [job["job_id"] for job in engine.claim(limit=limit)["jobs"]]


def owners(engine: Engine, job_ids: Sequence[str]) -> list[str]:
    return [str(engine.job(job_id)["user_id"]) for job_id in job_ids]


@pytest.mark.parametrize("window", [0, 5, 200], ids=["no window", "a short window", "a wide window"])
def test_a_newcomer_does_not_wait_behind_anothers_backlog(engine: Engine, users: list[uuid.UUID], window: int) -> None:
    make_queue(engine, "work", window_size=window)
    noisy, quiet, _ = users
    enqueue_for(engine, noisy, 50)
    claimed(engine, 10)
    late = enqueue_for(engine, quiet, 1)
    assert late[0] in claimed(engine, 3), "two turns of the noisy owner may be before it, not forty"


@pytest.mark.parametrize("window", [0, 7, 200])
def test_the_jobs_of_one_owner_run_in_the_order_of_enqueue(engine: Engine, users: list[uuid.UUID], window: int) -> None:
    make_queue(engine, "work", window_size=window)
    first = enqueue_for(engine, users[0], 12)
    order = claimed(engine, 5)
    second = enqueue_for(engine, users[0], 6)
    for _ in range(4):
        order += claimed(engine, 4)
    assert order == first + second


@pytest.mark.parametrize("window", [0, 4, 200])
def test_owners_with_backlogs_share_evenly(engine: Engine, users: list[uuid.UUID], window: int) -> None:
    make_queue(engine, "work", window_size=window)
    for user in users:
        enqueue_for(engine, user, 30)
    running = owners(engine, claimed(engine, 30))
    shares = [running.count(str(user)) for user in users]
    assert max(shares) - min(shares) <= 2, shares


def test_one_call_for_many_owners_treats_them_alike(engine: Engine, users: list[uuid.UUID]) -> None:
    jobs = [{"kind": "task", "user_id": str(user)} for user in users for _ in range(10)]
    engine.enqueue(*jobs)
    running = owners(engine, claimed(engine, 9))
    assert {running.count(str(user)) for user in users} == {3}


def test_a_job_that_comes_back_does_not_go_behind_its_owners_backlog(engine: Engine, users: list[uuid.UUID]) -> None:
    enqueue_for(engine, users[0], 300)
    [job] = engine.claim(limit=1)["jobs"]
    engine.settle(job, "release")
    assert job["job_id"] in claimed(engine, 3)


def test_turns_start_anew_when_the_line_was_empty(engine: Engine, users: list[uuid.UUID]) -> None:
    make_queue(engine, "work", window_size=0)
    enqueue_for(engine, users[0], 20)
    for job in engine.claim(limit=20)["jobs"]:
        engine.settle(job, "done")
    [job_id] = enqueue_for(engine, users[1], 1)
    assert engine.job(job_id)["fair_tag"] == 1


def test_a_retry_with_an_old_turn_does_not_starve_behind_a_young_line(engine: Engine, users: list[uuid.UUID]) -> None:
    make_queue(engine, "work", window_size=0)
    enqueue_for(engine, users[0], 50)
    jobs = engine.claim(limit=50)["jobs"]
    for job in jobs[:-1]:
        engine.settle(job, "done")
    assert engine.job(jobs[-1]["job_id"])["fair_tag"] == 50
    enqueue_for(engine, users[1], 10)
    engine.settle(jobs[-1], "release")
    assert jobs[-1]["job_id"] in claimed(engine, 3)


ERROR = {"code": "boom", "message": "It broke."}


@pytest.mark.parametrize("window", [0, 200], ids=["in the line", "in the window"])
def test_a_failed_attempt_goes_behind_what_was_due(engine: Engine, users: list[uuid.UUID], window: int) -> None:
    make_queue(engine, "work", window_size=window, backoff_base_seconds=0)
    poison, *neighbours = enqueue_for(engine, users[0], 6)
    engine.settle(engine.claim_one(), "retry", error=ERROR)
    assert claimed(engine, 3) == neighbours[:3]
    late = enqueue_for(engine, users[0], 2)
    assert claimed(engine, 5) == [*neighbours[3:], poison, *late]


def test_a_failed_attempt_goes_behind_its_own_owners_jobs_only(engine: Engine, users: list[uuid.UUID]) -> None:
    make_queue(engine, "work", backoff_base_seconds=0)
    [poison] = enqueue_for(engine, users[0], 1)
    engine.settle(engine.claim_one(), "retry", error=ERROR)
    enqueue_for(engine, users[1], 50)
    assert poison in claimed(engine, 3)


def test_a_poll_does_not_cost_a_job_its_turn(engine: Engine, users: list[uuid.UUID]) -> None:
    [job_id, *_] = enqueue_for(engine, users[0], 100)
    engine.settle(engine.claim_one(), "snooze", after_seconds=5)
    engine.step_clock(timedelta(seconds=6))
    assert job_id in claimed(engine, 3)


def test_the_first_lost_worker_costs_no_turn_and_the_second_does(engine: Engine, users: list[uuid.UUID]) -> None:
    make_queue(engine, "work", backoff_base_seconds=0, max_attempts=9)
    [job_id, *_] = enqueue_for(engine, users[0], 100)
    for is_first in (True, False):
        assert engine.claim_one()["job_id"] == job_id
        engine.step_clock(timedelta(seconds=31))
        assert engine.call("rescue_jobs", 10) == 1
        engine.call("tick")
        assert (engine.job(job_id)["fair_tag"] < 100) is is_first


def test_priority_goes_before_fairness(engine: Engine, users: list[uuid.UUID]) -> None:
    enqueue_for(engine, users[0], 5)
    urgent = enqueue_for(engine, users[0], 3, priority=5)
    enqueue_for(engine, users[1], 5)
    assert claimed(engine, 3) == urgent


def test_heads_of_many_groups_of_one_owner_do_not_crowd_out_another(engine: Engine, users: list[uuid.UUID]) -> None:
    jobs = [{"kind": "task", "user_id": str(users[0]), "group_key": f"chat{n}"} for n in range(40)]
    engine.enqueue(*jobs)
    claimed(engine, 1)
    [late] = enqueue_for(engine, users[1], 1)
    assert late in claimed(engine, 3)
