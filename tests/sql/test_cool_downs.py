"""Cool-downs: what the other side refused until a time, all jobs of the key wait for, and no attempt is spent."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine, make_queue

ERROR = {"code": "too_many_posts", "message": "The account has posted enough today."}


@pytest.fixture
def accounts(engine: Engine) -> Engine:
    """Queue `work` under a limit by user and platform, counted by jobs, and one counted by claims."""
    engine.call("set_rate_limiter", "posts", 100, 3600)
    engine.call("set_rate_limiter", "calls", 100, 60)
    engine.call("limit_queue", "work", "posts", "user_id+payload.platform", "jobs")
    engine.call("limit_queue", "work", "calls", "user_id+payload.platform")
    return engine


def posts(engine: Engine, user: uuid.UUID, count: int = 1, platform: str = "x", **more: object) -> list[str]:
    job = {"kind": "task", "user_id": str(user), "payload": {"platform": platform}, **more}
    return engine.enqueue(*[job for _ in range(count)])


def claimed(engine: Engine, limit: int = 10) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = engine.claim(limit=limit)["jobs"]
    return jobs


def hold(engine: Engine, job: dict[str, Any], seconds: float = 600, limiter: str | None = "posts") -> dict[str, Any]:
    named = {"limiter": limiter} if limiter else {}
    return engine.settle(job, "hold", error=ERROR, after_seconds=seconds, **named)


def commit(engine: Engine, job: dict[str, Any]) -> None:
    engine.call("commit_job", job["job_id"], job["claim_id"], {"at": "the call"}, True, 30)


def why(engine: Engine, job_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = engine.call("why_waiting", job_id)
    return answer


def later(engine: Engine, seconds: float) -> None:
    engine.step_clock(timedelta(seconds=seconds))


def test_all_jobs_of_the_account_wait_and_spend_no_attempt(accounts: Engine, alice: uuid.UUID) -> None:
    ids = posts(accounts, alice, 4)
    [refused] = claimed(accounts, 1)
    assert hold(accounts, refused)["status"] == "retrying"
    assert claimed(accounts) == []
    for job_id in ids:
        job = accounts.job(job_id)
        assert (job["attempt"], job["waiting_reason"]) == (0, "limit:posts")
    assert accounts.job(refused["job_id"])["error_code"] == "too_many_posts", "its owner reads why"


def test_other_accounts_and_other_platforms_go_on(accounts: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    posts(accounts, alice)
    hold(accounts, claimed(accounts)[0])
    others = [*posts(accounts, alice, platform="threads"), *posts(accounts, bob)]
    posts(accounts, alice)
    assert {job["job_id"] for job in claimed(accounts)} == set(others)


def test_why_waiting_tells_until_when_and_because_of_what(accounts: Engine, alice: uuid.UUID) -> None:
    _, behind = posts(accounts, alice, 2)
    hold(accounts, claimed(accounts, 1)[0], 600)
    claimed(accounts)
    answer = why(accounts, behind)
    assert (answer["reason"], answer["details"]["because"]) == ("limit", ERROR["message"])
    assert answer["expected_at"] == answer["details"]["cools_until"]
    left = datetime.fromisoformat(answer["expected_at"]) - accounts.value("select filaviva.now()")
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)


def test_the_first_goes_alone_and_the_others_step_by_step(accounts: Engine, alice: uuid.UUID) -> None:
    posts(accounts, alice, 6)
    for job in claimed(accounts, 3):
        hold(accounts, job)
    later(accounts, 601)
    assert len(claimed(accounts)) == 1
    later(accounts, 2)
    assert len(claimed(accounts)) == 1
    later(accounts, 30)
    assert len(claimed(accounts)) == 4


def test_a_second_refusal_lets_nobody_else_try(accounts: Engine, alice: uuid.UUID) -> None:
    posts(accounts, alice, 5)
    hold(accounts, claimed(accounts, 1)[0])
    later(accounts, 601)
    [probe] = claimed(accounts)
    hold(accounts, probe)
    later(accounts, 500)
    assert claimed(accounts) == []


def test_a_refusal_after_the_point_of_no_return_clears_its_mark(accounts: Engine, alice: uuid.UUID) -> None:
    [job_id] = posts(accounts, alice)
    [job] = claimed(accounts)
    commit(accounts, job)
    hold(accounts, job)
    row = accounts.job(job_id)
    assert (row["committed_at"], row["attempt"], row["mode"], row["status"]) == (None, 0, "run", "retrying")
    later(accounts, 601)
    [again] = claimed(accounts)
    assert (again["committed"], again["attempt"]) == (False, 1)


def test_a_job_that_waits_to_learn_what_became_of_it_is_not_held_by_a_cap_on_posts(
    accounts: Engine, alice: uuid.UUID
) -> None:
    under_way, refused = posts(accounts, alice, 2)
    first, second = claimed(accounts)
    commit(accounts, first)
    accounts.settle(first, "snooze", after_seconds=5)
    hold(accounts, second)
    later(accounts, 6)
    assert [job["job_id"] for job in claimed(accounts)] == [under_way]
    assert accounts.job(refused)["waiting_reason"] == "limit:posts"


def test_a_limit_on_calls_holds_those_too_and_the_one_that_met_it_keeps_its_mark(
    accounts: Engine, alice: uuid.UUID
) -> None:
    posts(accounts, alice, 2)
    first, second = claimed(accounts)
    commit(accounts, first)
    commit(accounts, second)
    accounts.settle(first, "snooze", after_seconds=5)
    accounts.settle(second, "snooze", after_seconds=60, limiter="calls")
    later(accounts, 6)
    assert claimed(accounts) == []
    assert accounts.job(first["job_id"])["waiting_reason"] == "limit:calls"
    later(accounts, 100)
    assert {job["committed"] for job in claimed(accounts)} == {True}


def test_a_hold_without_a_limit_waits_alone(accounts: Engine, alice: uuid.UUID) -> None:
    alone, other = posts(accounts, alice, 2)
    hold(accounts, claimed(accounts, 1)[0], limiter=None)
    assert [job["job_id"] for job in claimed(accounts)] == [other]
    assert (accounts.job(alone)["waiting_reason"], why(accounts, alone)["reason"]) == ("limit", "limit")


def test_a_limit_that_the_queue_is_not_under_holds_the_job_alone(accounts: Engine, alice: uuid.UUID) -> None:
    _, other = posts(accounts, alice, 2)
    hold(accounts, claimed(accounts, 1)[0], limiter="unknown")
    assert [job["job_id"] for job in claimed(accounts)] == [other]


def test_a_job_that_is_refused_for_ever_fails_at_last(engine: Engine) -> None:
    make_queue(engine, "work", max_snoozes=1)
    [job_id] = engine.enqueue({"kind": "task"})
    hold(engine, engine.claim_one(), 0, None)
    assert hold(engine, engine.claim_one(), 0, None)["status"] == "failed"
    assert engine.job(job_id)["error_code"] == "too_many_posts"


def test_a_cancelled_job_is_not_held(accounts: Engine, alice: uuid.UUID) -> None:
    [job_id] = posts(accounts, alice)
    [job] = claimed(accounts)
    accounts.call("cancel_jobs", {"ids": [job_id]}, 1)
    assert hold(accounts, job)["status"] == "cancelled"


def test_a_post_counts_once_however_often_its_job_is_claimed(accounts: Engine, alice: uuid.UUID) -> None:
    accounts.call("set_rate_limiter", "posts", 2, 3600)
    posts(accounts, alice, 3)
    first, second = claimed(accounts)
    accounts.settle(first, "snooze", after_seconds=1)
    later(accounts, 2)
    [again] = claimed(accounts)
    assert again["job_id"] == first["job_id"]
    accounts.settle(again, "done")
    accounts.settle(second, "done")
    assert claimed(accounts) == [], "the third has to wait for the window"


def test_what_was_refused_does_not_count_as_a_post(accounts: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    accounts.call("set_rate_limiter", "posts", 1, 3600)
    posts(accounts, alice, 2)
    hold(accounts, claimed(accounts)[0], 5, None)
    assert len(claimed(accounts)) == 1, "its place went to the other"


def test_a_limit_may_hold_only_jobs_with_a_value(accounts: Engine, alice: uuid.UUID) -> None:
    accounts.call("set_rate_limiter", "reels", 1, 60)
    accounts.call("limit_queue", "work", "reels", "user_id+payload.platform=reels", "jobs")
    posts(accounts, alice, 3)
    posts(accounts, alice, 3, platform="reels")
    assert sorted(job["payload"]["platform"] for job in claimed(accounts)) == ["reels", "x", "x", "x"]


def test_an_operator_cools_a_key_down_and_ends_it(accounts: Engine, alice: uuid.UUID) -> None:
    key = f"{alice}:x"
    posts(accounts, alice, 1)
    until = accounts.value("select filaviva.now() + interval '1 hour'")
    accounts.call("cool_down", "posts", key, until, "the account is under review")
    assert claimed(accounts) == []
    status = accounts.call_as(alice, "rate_limit_status", "posts", key)
    assert (status["allowed"], 3590 < status["retry_after"] <= 3600) == (False, True)
    accounts.call("cool_down", "posts", key, None)
    assert len(claimed(accounts)) == 1
    assert accounts.call_as(alice, "rate_limit_status", "posts", key)["allowed"]


def test_of_two_refusals_the_later_time_counts(accounts: Engine, alice: uuid.UUID) -> None:
    posts(accounts, alice, 2)
    long, short = claimed(accounts)
    hold(accounts, long, 600)
    hold(accounts, short, 5)
    later(accounts, 60)
    assert claimed(accounts) == []


def test_no_user_reads_how_another_stands(accounts: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    with pytest.raises(psycopg.Error, match="not yours"):
        accounts.call_as(bob, "rate_limit_status", "posts", f"{alice}:x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "a", None), "no rate limiter"),
        (("posts", "", None), "p_key"),
        (("posts", "a", "infinity"), "p_until"),
        (("posts", "a", "2999-01-01"), "p_until"),
    ],
)
def test_a_wrong_cool_down_says_what_is_wrong(accounts: Engine, arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(psycopg.Error, match=message):
        accounts.call("cool_down", *arguments)


@pytest.mark.parametrize(
    "key", ["user_id+", "+user_id", "user_id+secret", "user_id=", "payload", "user_id+payload.a=b c"]
)
def test_a_wrong_path_is_refused(accounts: Engine, key: str) -> None:
    with pytest.raises(psycopg.Error, match="p_key"):
        accounts.call("limit_queue", "work", "posts", key)


def test_the_next_claim_is_due_when_the_cool_down_ends(accounts: Engine, alice: uuid.UUID) -> None:
    posts(accounts, alice, 3)
    hold(accounts, claimed(accounts, 1)[0], 600)
    assert claimed(accounts) == []
    due = accounts.claim()["next_due_in_ms"]
    assert 590_000 < due <= 600_000
