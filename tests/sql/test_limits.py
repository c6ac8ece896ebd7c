"""Rate limits: never a window above the limit, nothing lost by waiting, and nobody else held up."""

import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue, make_user

SLACK = 2


@pytest.fixture
def limited(engine: Engine) -> Engine:
    """Three hits in ten seconds for an instance, on queue `work`."""
    engine.call("set_rate_limiter", "per_instance", 3, 10)
    engine.call("limit_queue", "work", "per_instance", "instance_id")
    return engine


def send(engine: Engine, instance: str, count: int = 1, **more: object) -> list[str]:
    return engine.enqueue(*[{"kind": "task", "instance_id": instance, **more} for _ in range(count)])


def claimed(engine: Engine, limit: int = 100) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = engine.claim(limit=limit)["jobs"]
    return jobs


def test_no_more_than_the_limit_is_claimed(limited: Engine) -> None:
    send(limited, "a", 5)
    assert len(claimed(limited)) == 3
    assert claimed(limited) == []


def test_a_refused_job_spends_no_attempt_and_names_its_limit(limited: Engine) -> None:
    ids = send(limited, "a", 4)
    claimed(limited)
    job = limited.job(ids[3])
    assert (job["status"], job["attempt"], job["waiting_reason"]) == ("pending", 0, "limit:per_instance")
    assert job["blocked_by"] == "limit:per_instance:a"


def test_another_key_is_not_held_up(limited: Engine) -> None:
    send(limited, "a", 200)
    [other] = send(limited, "b")
    next_claims = [job["job_id"] for _ in range(4) for job in claimed(limited, 10)]
    assert other in next_claims, "a claim looks past as many as it can in a tenth of a second"


def test_a_parked_job_runs_when_the_window_has_moved_on(limited: Engine) -> None:
    ids = send(limited, "a", 5)
    assert [job["job_id"] for job in claimed(limited)] == ids[:3]
    answer = limited.claim(limit=10)
    assert answer["jobs"] == []
    assert 11_000 < answer["next_due_in_ms"] <= 12_000
    limited.step_clock(timedelta(seconds=10))
    assert claimed(limited) == [], "a call may have been made up to two seconds after its claim"
    limited.step_clock(timedelta(seconds=SLACK + 0.1))
    assert [job["job_id"] for job in claimed(limited)] == ids[3:]


def test_a_job_is_under_the_limit_only_if_it_has_the_key(limited: Engine) -> None:
    limited.enqueue(*[{"kind": "task"} for _ in range(10)])
    assert len(claimed(limited)) == 10


def test_several_limits_are_taken_together_or_not_at_all(limited: Engine) -> None:
    user = make_user(limited)
    limited.call("set_rate_limiter", "per_user", 4, 60)
    limited.call("limit_queue", "work", "per_user", "user_id")
    send(limited, "a", 3, user_id=str(user))
    send(limited, "b", 3, user_id=str(user))
    running = [job["instance_id"] for job in claimed(limited)]
    assert sorted(running) == ["a", "a", "a", "b"] or sorted(running) == ["a", "b", "b", "b"] or len(running) == 4
    hits = limited.connection.execute("select limiter, count(*) from filaviva.rate_limit_hits group by 1 order by 1")
    assert hits.fetchall() == [("per_instance", 4), ("per_user", 4)], "a refused job has taken no hit of any limit"


def test_a_released_job_gives_its_hits_back(limited: Engine) -> None:
    send(limited, "a", 3)
    for job in claimed(limited):
        limited.settle(job, "release")
    assert limited.call("rate_limit_status", "per_instance", "a")["remaining"] == 3


def test_a_retry_counts_again(limited: Engine) -> None:
    send(limited, "a")
    [job] = claimed(limited)
    limited.settle(job, "retry", after_seconds=0)
    claimed(limited)
    assert limited.call("rate_limit_status", "per_instance", "a")["remaining"] == 1


def test_status_says_how_a_key_stands(limited: Engine) -> None:
    free = limited.call("rate_limit_status", "per_instance", "a")
    assert free == {"allowed": True, "remaining": 3, "limit": 3, "window_seconds": 10, "retry_after": 0}
    send(limited, "a", 3)
    claimed(limited)
    full = limited.call("rate_limit_status", "per_instance", "a")
    assert (full["allowed"], full["remaining"]) == (False, 0)
    assert 10 < full["retry_after"] <= 12


def test_a_user_learns_of_their_own_keys_alone(limited: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    assert limited.call_as(alice, "rate_limit_status", "api", str(alice))["limit"] == 1000
    with pytest.raises(psycopg.Error, match="not yours"):
        limited.call_as(alice, "rate_limit_status", "api", str(bob))
    limited.enqueue({"kind": "task", "user_id": str(alice), "instance_id": "mine"})
    assert limited.call_as(alice, "rate_limit_status", "per_instance", "mine")["allowed"]


def test_a_raised_limit_works_at_once(limited: Engine) -> None:
    send(limited, "a", 5)
    claimed(limited)
    claimed(limited)
    limited.call("set_rate_limiter", "per_instance", 5, 10)
    assert len(claimed(limited)) == 2


def test_a_queue_taken_out_from_under_its_limit_runs_what_was_parked(limited: Engine) -> None:
    send(limited, "a", 8)
    claimed(limited)
    limited.call("limit_queue", "work", "per_instance", None)
    running = 3
    for _ in range(4):
        running += len(claimed(limited))
    assert running == 8


def test_one_limit_may_rule_several_queues(limited: Engine) -> None:
    make_queue(limited, "other")
    limited.call("limit_queue", "other", "per_instance", "instance_id")
    send(limited, "a", 2)
    limited.enqueue(*[{"kind": "task_other", "instance_id": "a"} for _ in range(2)])
    assert len(claimed(limited)) + len(limited.claim("other")["jobs"]) == 3


def test_a_key_may_be_a_path_into_the_payload(engine: Engine) -> None:
    engine.call("set_rate_limiter", "per_platform", 1, 60)
    engine.call("limit_queue", "work", "per_platform", "payload.to.platform")
    jobs = [{"kind": "task", "payload": {"to": {"platform": name}}} for name in ("x", "x", "tiktok")]
    engine.enqueue(*jobs)
    assert sorted(job["payload"]["to"]["platform"] for job in claimed(engine)) == ["tiktok", "x"]


def test_a_parked_head_holds_its_group(limited: Engine) -> None:
    send(limited, "a", 3)
    claimed(limited)
    head, behind = send(limited, "a", 2, group_key="chat")
    claimed(limited)
    assert limited.job(head)["waiting_reason"] == "limit:per_instance"
    assert limited.job(behind)["blocked_by"] == "group:chat"
    limited.step_clock(timedelta(seconds=13))
    assert [job["job_id"] for job in claimed(limited)] == [head]


def test_what_stood_in_pgmq_before_the_limit_came_is_under_it_too(engine: Engine) -> None:
    send(engine, "a", 5)
    assert engine.messages(), "they went straight into pgmq"
    engine.call("set_rate_limiter", "per_instance", 2, 10)
    engine.call("limit_queue", "work", "per_instance", "instance_id")
    assert len(claimed(engine)) == 2


def test_a_cancelled_parked_job_does_not_come_back(limited: Engine) -> None:
    ids = send(limited, "a", 4)
    claimed(limited)
    limited.call("cancel_jobs", {"ids": [ids[3]]}, 10)
    limited.step_clock(timedelta(seconds=13))
    assert claimed(limited) == []
    assert limited.connection.execute("select * from filaviva.parked_keys").fetchall() == []


def test_claims_that_meet_never_exceed_the_limit_together(limited: Engine, database: Database) -> None:
    send(limited, "a", 10)
    with database.connect() as other:
        other.execute("begin")
        other.execute("set local role service_role")
        taken = other.execute("select public.claim_jobs('work', 2, 'w2', gen_random_uuid())").fetchone()
        assert taken is not None
        assert len(taken[0]["jobs"]) == 2
        assert claimed(limited) == [], "another claim is counting this key"
        other.execute("commit")
    assert len(claimed(limited)) == 1


def test_the_tick_forgets_hits_that_no_longer_count(limited: Engine) -> None:
    send(limited, "a", 3)
    claimed(limited)
    limited.call("tick")
    assert limited.value("select count(*) from filaviva.rate_limit_hits") == 3
    limited.step_clock(timedelta(seconds=13))
    limited.call("tick")
    assert limited.value("select count(*) from filaviva.rate_limit_hits") == 0


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("set_rate_limiter", ("Bad Name", 1, 1), "p_name"),
        ("set_rate_limiter", ("ok", 0, 1), "p_max_hits"),
        ("set_rate_limiter", ("ok", 1, 0), "p_window_seconds"),
        ("limit_queue", ("nowhere", "per_instance", "user_id"), "no queue"),
        ("limit_queue", ("work", "nothing", "user_id"), "no rate limiter"),
        ("limit_queue", ("work", "per_instance", "secret; drop"), "p_key"),
        ("rate_limit_status", ("nothing", "a"), "no rate limiter"),
    ],
)
def test_bad_input_is_named(limited: Engine, call: str, arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(psycopg.Error, match=message) as refused:
        limited.call(call, *arguments)
    assert (refused.value.sqlstate or "").startswith("PT4")


def test_only_operators_set_limits(limited: Engine, alice: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error, match="operator"):
        limited.call_as(alice, "set_rate_limiter", "api", 1_000_000, 1)
    with pytest.raises(psycopg.Error, match="operator"):
        limited.call_as(alice, "limit_queue", "work", "per_instance", None)


def test_a_user_may_make_so_many_enqueue_calls_a_minute(engine: Engine, alice: uuid.UUID) -> None:
    engine.call("set_rate_limiter", "api", 5, 60)
    for _ in range(5):
        engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    with pytest.raises(psycopg.Error) as refused:
        engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
    assert (refused.value.sqlstate, refused.value.diag.message_detail) == ("PT429", "too_many_requests")
    seconds = int((refused.value.diag.message_hint or "").removeprefix("Try again in ").split()[0])
    assert 55 < seconds <= 62
    engine.call("enqueue_jobs", [{"kind": "task", "user_id": str(alice)}])  # the service role is exempt
    engine.step_clock(timedelta(seconds=seconds + 1))
    engine.call_as(alice, "enqueue_jobs", [{"kind": "task"}])
