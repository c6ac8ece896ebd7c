"""`POST /api/internal/process-publication`: one publication by its id, or all of them."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from functions.handlers.publish_post import PublishPost
from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, JobError, Outcome, Reject
from tests.functions.conftest import CRON_SECRET, Logs, Project, User
from tests.functions.scripted import registration

PATH = "/api/internal/process-publication"
INTERNAL = {"Authorization": f"Bearer {CRON_SECRET}"}


@pytest.fixture
def user(project: Project, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user; publications end by their caption, since what the platforms do is tested elsewhere."""

    async def run(job: ClaimedJob, payload: PublishPost, ctx: Context) -> Outcome:
        if payload.content.caption == "banned":
            return Reject(JobError("banned", "The platform does not allow it."))
        return Done({"caption": payload.content.caption})

    monkeypatch.setitem(registry._registrations, "publish_post", registration("publish_post", run, payload=PublishPost))
    return project.sign_up()


def publication(user: User, caption: str = "stored") -> dict[str, Any]:
    content = {
        "mediaFiles": [{"name": "v.mp4", "size": 1, "type": "video/mp4", "url": "https://media.example/v.mp4"}],
        "caption": caption,
        "settings": {},
    }
    payload = {"option": "tiktok_video", "platform": "tiktok", "content": content}
    return {"kind": "publish_post", "user_id": user.id, "correlation_id": "order-1", "payload": payload}


async def post(api: httpx.AsyncClient, body: Any = None) -> httpx.Response:
    return await api.post(PATH, json=body, headers=INTERNAL)


async def test_the_request_of_the_design_document_processes_that_job_alone(
    api: httpx.AsyncClient, project: Project, user: User, logs: Logs
) -> None:
    first, wanted = project.enqueue(publication(user), publication(user))
    body = {
        "job_id": wanted,
        "user_id": user.id,
        "platform": "tiktok_video",
        "content": {"mediaFiles": [], "caption": "not the stored one", "settings": {}},
    }
    answer = await post(api, body)
    assert answer.status_code == 200, answer.text
    summary = answer.json()
    assert {name: summary[name] for name in ("claimed", "completed", "failed", "chained")} == {
        "claimed": 1, "completed": 1, "failed": 0, "chained": False,
    }  # fmt: skip
    assert project.job(wanted)["result"] == {"caption": "stored"}  # content is ignored
    assert project.job(first)["status"] == "pending"
    (line,) = logs.find("[Process Publication API] Job completed successfully")
    assert (line["job_id"], line["correlation_id"], line["attempt"]) == (wanted, "order-1", 1)


async def test_without_a_job_id_the_publications_are_drained(
    api: httpx.AsyncClient, project: Project, user: User, logs: Logs
) -> None:
    project.enqueue(publication(user), publication(user, "banned"), {"kind": "canary"})
    summary = (await post(api)).json()
    assert (summary["claimed"], summary["completed"], summary["failed"]) == (2, 1, 1)
    assert [row["status"] for row in project.jobs()] == ["completed", "failed", "pending"]
    (line,) = logs.find("[Process Publication API] Job failed")
    assert (line["error_code"], line["status"]) == ("banned", "failed")
    assert (await post(api, {})).json()["claimed"] == 0


async def test_a_job_is_processed_only_for_whom_and_what_it_is(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    (job_id,) = project.enqueue(publication(user))
    for field, value in [("user_id", str(uuid4())), ("platform", "instagram_feed"), ("platform", "tiktok")]:
        answer = await post(api, {"job_id": job_id, field: value})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["details"]) == (409, "job_mismatch", {"field": field})
    row = project.job(job_id)
    assert (row["status"], row["version"]) == ("pending", 1)  # it was never claimed


async def test_a_job_that_cannot_be_had_is_explained(api: httpx.AsyncClient, project: Project, user: User) -> None:
    (job_id,) = project.enqueue(publication(user))
    await post(api, {"job_id": job_id})
    over = await post(api, {"job_id": job_id})
    assert (over.status_code, over.json()["error"]["code"]) == (409, "not_claimable")
    assert "completed" in over.json()["error"]["message"]
    unknown = await post(api, {"job_id": str(uuid4())})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_job")


async def test_a_malformed_request_names_its_field(api: httpx.AsyncClient, project: Project, user: User) -> None:
    for body, field in [({"job_id": 5}, "job_id"), ({"job_id": "x"}, "job_id"), ({"user_id": "me"}, "user_id"),
                        ({"platform": 5}, "platform"), ({"job": "x"}, "job")]:  # fmt: skip
        answer = await post(api, body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["details"]["field"]) == (400, "invalid_field", field)
