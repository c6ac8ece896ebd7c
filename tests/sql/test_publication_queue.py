"""The queue of publications as it is set: five at once, thirty minutes at most, and the networks' own caps."""

import uuid
from datetime import timedelta
from typing import Any

from tests.sql.conftest import Engine, Json, make_user

QUEUE = "publication_queue"


def post(user: uuid.UUID, option: str = "threads_post") -> Json:
    content: Json = {"mediaFiles": [], "caption": "hello", "settings": {}}
    payload = {"option": option, "platform": option.partition("_")[0], "content": content}
    return {"kind": "publish_post", "user_id": str(user), "payload": payload}


def claimed(engine: Engine, limit: int = 10) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = engine.claim(QUEUE, limit)["jobs"]
    return jobs


def finish(engine: Engine, jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        engine.settle(job, "done")


def test_five_run_at_once_over_all_workers(engine: Engine, alice: uuid.UUID) -> None:
    engine.enqueue(*[post(alice)] * 8)
    assert len(claimed(engine, 3)) == 3
    running = claimed(engine)
    assert len(running) == 2
    assert engine.claim(QUEUE, 10)["state"] == "enough"
    finish(engine, running)
    assert len(claimed(engine)) == 2


def test_a_run_of_more_than_thirty_minutes_has_failed(engine: Engine, alice: uuid.UUID) -> None:
    [job_id] = engine.enqueue(post(alice))
    [job] = claimed(engine)
    for _ in range(62):  # its worker lives, and says so
        engine.step_clock(timedelta(seconds=29))
        engine.call("extend_leases", [{"job_id": job["job_id"], "claim_id": job["claim_id"]}])
    assert engine.job(job_id)["status"] == "processing"
    engine.step_clock(timedelta(seconds=29))
    engine.call("rescue_jobs")
    row = engine.job(job_id)
    assert (row["status"], row["error_code"]) == ("failed", "stalled")


def test_a_post_that_the_platform_works_on_for_hours_is_not_stuck(engine: Engine, alice: uuid.UUID) -> None:
    [job_id] = engine.enqueue(post(alice, "tiktok_video"))
    [job] = claimed(engine)
    engine.settle(job, "snooze", after_seconds=2 * 3600)
    engine.step_clock(timedelta(hours=1))
    engine.call("rescue_jobs")
    assert engine.job(job_id)["status"] == "retrying"


def test_a_cap_by_the_minute_holds_the_account_and_nobody_else(engine: Engine, alice: uuid.UUID) -> None:
    ids = engine.enqueue(*[post(alice, "tiktok_video")] * 8)
    finish(engine, claimed(engine))
    finish(engine, claimed(engine))
    assert [engine.job(job_id)["waiting_reason"] for job_id in ids[6:]] == ["limit:tiktok_minute"] * 2
    other = make_user(engine)
    engine.enqueue(post(other, "tiktok_video"), post(alice, "x_post"))
    assert {(job["user_id"], job["payload"]["platform"]) for job in claimed(engine)} == {
        (str(other), "tiktok"),
        (str(alice), "x"),
    }


def test_a_cap_of_one_option_leaves_the_others_of_its_network_alone(engine: Engine, alice: uuid.UUID) -> None:
    engine.call("set_rate_limiter", "facebook_reels_day", 1, 86_400)
    reels, photos = post(alice, "facebook_reels"), post(alice, "facebook_photo")
    engine.enqueue(reels, reels, photos, photos)
    options = [job["payload"]["option"] for job in claimed(engine)]
    assert sorted(options) == ["facebook_photo", "facebook_photo", "facebook_reels"]


def test_a_cap_of_the_app_holds_every_users_posts(engine: Engine, alice: uuid.UUID, bob: uuid.UUID) -> None:
    engine.call("set_rate_limiter", "youtube_app", 1, 86_400)
    first, second = engine.enqueue(post(alice, "youtube_video"), post(bob, "youtube_video"))
    assert [job["job_id"] for job in claimed(engine)] == [first]
    assert engine.job(second)["waiting_reason"] == "limit:youtube_app"
    answer = engine.call("why_waiting", second)
    assert (answer["reason"], answer["details"]["limiter"]) == ("limit", "youtube_app")
