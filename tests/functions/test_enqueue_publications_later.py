"""`POST /api/publications/enqueue`: later, sooner, or only as a trial."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from tests.functions.conftest import Project, User
from tests.functions.test_enqueue_publications import post, request_of, user

__all__ = ["user"]

PLAIN = {"name": "a.jpg", "size": 9, "type": "image/jpeg", "url": "https://media.example/a.jpg"}


async def test_a_post_is_not_published_before_its_time(api: httpx.AsyncClient, project: Project, user: User) -> None:
    later = datetime.now(UTC) + timedelta(days=3)
    answer = await post(api, user, request_of(user, scheduledAt=later.isoformat()))
    assert answer.status_code == 200, answer.text
    assert {job["status"] for job in answer.json()["data"]["jobs"]} == {"pending"}
    for job in project.jobs():
        assert (job["scheduled_at"], job["next_run_at"], job["waiting_reason"]) == (later, later, "scheduled")


async def test_a_time_with_another_zone_means_the_same_moment(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    await post(api, user, request_of(user, scheduledAt="2035-05-01T09:30:00-03:00"))
    assert {job["scheduled_at"] for job in project.jobs()} == {datetime(2035, 5, 1, 12, 30, tzinfo=UTC)}


async def test_an_address_that_ends_before_the_time_of_the_post_is_refused(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    now = datetime.now(UTC)
    token = jwt.encode({"exp": now + timedelta(hours=6)}, "x" * 32)
    signed = f"{project.url}/storage/v1/object/sign/shared/a.jpg?token={token}"
    request = request_of(
        user, selectedOptions=["instagram_feed"], mediaFiles=[{**PLAIN, "url": signed}], settings={}, captions={}
    )
    assert (await post(api, user, request)).status_code == 200
    answer = await post(api, user, {**request, "scheduledAt": (now + timedelta(hours=5)).isoformat()})
    [rejected] = answer.json()["error"]["details"]["rejected"]
    assert (answer.status_code, rejected["code"]) == (422, "media_url_expires_too_soon")
    assert rejected["field"] == "mediaFiles.0.url"


async def test_an_urgent_post_goes_before_the_others(api: httpx.AsyncClient, project: Project, user: User) -> None:
    await post(api, user, request_of(user))
    await post(api, user, request_of(user, priority=10))
    assert [job["priority"] for job in project.jobs()] == [0, 0, 10, 10]
    claimed = project.call("claim_jobs", "publication_queue", 2, "w1", "6d1f0c04-2d39-4a0c-8f8f-0f2f6f0a0001")
    assert {job["payload"]["option"] for job in claimed["jobs"]} == {"tiktok_video", "instagram_feed"}
    assert [job["status"] for job in project.jobs()] == ["pending", "pending", "processing", "processing"]


@pytest.mark.parametrize(("query", "body"), [("?dry_run=true", {}), ("", {"dryRun": True})])
async def test_a_trial_says_what_would_be_enqueued_and_enqueues_nothing(
    api: httpx.AsyncClient, project: Project, user: User, query: str, body: dict[str, Any]
) -> None:
    request = request_of(user, selectedOptions=["tiktok_video", "instagram_feed", "x_post"], **body)
    answer = await api.post(f"/api/publications/enqueue{query}", json=request, headers=user.headers)
    answered = answer.json()
    [rejected] = answered["data"].pop("rejected")
    assert (rejected["platform"], rejected["code"], rejected["field"]) == (
        "x_post",
        "account_missing",
        "selectedOptions.2",
    )
    assert answered == {
        "success": True,
        "message": "2 publication job(s) would be enqueued",
        "data": {
            "jobs": [],
            "totalEnqueued": 0,
            "totalRequested": 3,
            "dryRun": True,
            "wouldEnqueue": ["tiktok_video", "instagram_feed"],
        },
    }
    assert project.jobs() == []


async def test_a_trial_of_what_cannot_be_published_is_refused_as_the_real_request(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    answers = [
        await post(api, user, request_of(user, selectedOptions=["x_post"], settings={}, captions={}, dryRun=trial))
        for trial in (True, False)
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json()["error"]["details"] == answers[1].json()["error"]["details"]


async def test_a_trial_needs_a_clear_word(api: httpx.AsyncClient, project: Project, user: User) -> None:
    answer = await api.post("/api/publications/enqueue?dry_run=1", json=request_of(user), headers=user.headers)
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, "dry_run")
    assert project.jobs() == []
