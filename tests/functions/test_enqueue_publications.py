"""`POST /api/publications/enqueue`: request and answer as the design document prints them."""

import copy
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.functions.conftest import Logs, Project, User

VIDEO = {"name": "video.mp4", "size": 1024000, "type": "video/mp4", "url": "https://media.example/video.mp4"}


@pytest.fixture
def user(project: Project) -> User:
    user = project.sign_up()
    project.connect_account(user, "tiktok")
    project.connect_account(user, "instagram")
    return user


def request_of(user: User, **changes: Any) -> dict[str, Any]:
    """The design document's example, with changes."""
    return {
        "userId": user.id,
        "selectedOptions": ["tiktok_video", "instagram_feed"],
        "mediaFiles": [VIDEO],
        "captions": {
            "universal": "Legenda universal",
            "specific": {"tiktok_video": "Legenda específica para TikTok"},
        },
        "settings": {"tiktok_video": {"privacy": "PUBLIC_TO_EVERYONE", "allowComments": True}},
        **changes,
    }


async def post(api: httpx.AsyncClient, user: User, body: Any, **headers: str) -> httpx.Response:
    return await api.post("/api/publications/enqueue", json=body, headers={**user.headers, **headers})


async def test_the_example_of_the_design_document_is_answered_as_printed(
    api: httpx.AsyncClient, project: Project, user: User, logs: Logs
) -> None:
    answer = await post(api, user, request_of(user))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    ids = [job.pop("job_id") for job in body["data"]["jobs"]]
    assert all(UUID(job_id) for job_id in ids)
    assert body == {
        "success": True,
        "message": "Successfully enqueued 2 publication job(s)",
        "data": {
            "jobs": [
                {"platform": "tiktok_video", "status": "pending"},
                {"platform": "instagram_feed", "status": "pending"},
            ],
            "totalEnqueued": 2,
            "totalRequested": 2,
        },
    }
    lines = logs.find("[Publications Enqueue API] Job created successfully")
    assert [line["job_id"] for line in lines] == ids


async def test_each_option_becomes_a_job_with_its_own_caption_and_settings(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    await post(api, user, request_of(user), **{"X-Request-Id": "request-1"})
    tiktok, instagram = project.jobs()
    assert tiktok["payload"] == {
        "option": "tiktok_video",
        "platform": "tiktok",
        "content": {
            "mediaFiles": [VIDEO],
            "caption": "Legenda específica para TikTok",
            "settings": {"privacy": "PUBLIC_TO_EVERYONE", "allowComments": True},
        },
    }
    assert instagram["payload"]["content"]["caption"] == "Legenda universal"
    assert instagram["payload"]["content"]["settings"] == {}
    for job in (tiktok, instagram):
        assert (job["kind"], job["queue"], str(job["user_id"])) == ("publish_post", "publication_queue", user.id)
        assert (job["correlation_id"], job["max_attempts"]) == ("request-1", 3)


async def test_an_alias_is_answered_and_stored_by_the_options_own_name(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    changes: dict[str, Any] = {
        "selectedOptions": ["instagram_reel"],
        "mediaFiles": [{**VIDEO, "durationSeconds": 12.5, "width": 1080, "height": 1920}],
        "captions": {"universal": "Universal", "specific": {"instagram_reel": "Of the reel"}},
        "settings": {"instagram_reels": {"shareToFeed": False}},
    }
    answer = await post(api, user, request_of(user, **changes))
    assert [job["platform"] for job in answer.json()["data"]["jobs"]] == ["instagram_reels"]
    (job,) = project.jobs()
    assert (job["payload"]["option"], job["payload"]["platform"]) == ("instagram_reels", "instagram")
    assert job["payload"]["content"] == {
        "mediaFiles": changes["mediaFiles"],
        "caption": "Of the reel",
        "settings": {"shareToFeed": False},
    }


async def test_a_caption_of_no_length_for_a_post_without_media_is_told_where_it_is_missing(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    project.connect_account(user, "threads")
    for caption, status in (("", 422), ("words", 200)):
        changes = {"selectedOptions": ["threads_post"], "mediaFiles": [], "captions": {"universal": caption}}
        answer = await post(api, user, request_of(user, settings={}, **changes))
        assert answer.status_code == status, answer.text
        if status == 422:
            (entry,) = answer.json()["error"]["details"]["rejected"]
            assert (entry["code"], entry["field"]) == ("caption_required", "captions")


async def test_what_cannot_be_published_is_listed_and_the_rest_enqueued(
    api: httpx.AsyncClient, project: Project
) -> None:
    user = project.sign_up()
    project.connect_account(user, "tiktok")
    answer = await post(api, user, request_of(user))
    data = answer.json()["data"]
    assert answer.status_code == 200
    assert [job["platform"] for job in data["jobs"]] == ["tiktok_video"]
    assert (data["totalEnqueued"], data["totalRequested"]) == (1, 2)
    (rejected,) = data["rejected"]
    assert set(rejected) == {"platform", "code", "message", "field"}
    assert (rejected["platform"], rejected["code"]) == ("instagram_feed", "account_missing")
    assert rejected["field"] == "selectedOptions.1"
    assert len(project.jobs()) == 1


UNPUBLISHABLE: list[tuple[dict[str, Any], str, str]] = [
    ({"mediaFiles": []}, "media_count", "mediaFiles"),
    ({"mediaFiles": [{**VIDEO, "type": "image/png"}]}, "media_type", "mediaFiles.0.type"),
    ({"mediaFiles": [{**VIDEO, "url": "http://media.example/v.mp4"}]}, "media_url_not_allowed", "mediaFiles.0.url"),
    ({"mediaFiles": [{**VIDEO, "url": "file:///etc/passwd"}]}, "media_url_not_allowed", "mediaFiles.0.url"),
    ({"mediaFiles": [{**VIDEO, "size": 10**13}]}, "media_too_large", "mediaFiles.0.size"),
    ({"captions": {"universal": "x" * 2201}}, "caption_too_long", "captions"),
    ({"settings": {}}, "setting_required", "settings.tiktok_video.privacy"),
    ({"settings": {"tiktok_video": {"privacy": "MAYBE"}}}, "setting_invalid", "settings.tiktok_video.privacy"),
]


async def test_when_nothing_is_left_it_is_a_422_that_lists_why(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    for changes, code, field in UNPUBLISHABLE:
        answer = await post(api, user, request_of(user, selectedOptions=["tiktok_video"], **changes))
        assert answer.status_code == 422, (changes, answer.text)
        error = answer.json()["error"]
        assert error["code"] == "nothing_to_publish"
        assert (code, field) in {(entry["code"], entry["field"]) for entry in error["details"]["rejected"]}
    assert project.jobs() == []


async def test_an_account_to_connect_again_is_not_published_to(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    with project.database.connect("supabase_admin") as admin:
        admin.execute("update public.social_accounts set status = 'reconnect' where platform = 'tiktok'")
    data = (await post(api, user, request_of(user))).json()["data"]
    assert [(entry["platform"], entry["code"]) for entry in data["rejected"]] == [
        ("tiktok_video", "reconnect_required")
    ]


def without(body: dict[str, Any], path: str) -> dict[str, Any]:
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    place: Any = body
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    del place[last]
    return body


async def test_a_missing_field_is_named(api: httpx.AsyncClient, project: Project, user: User) -> None:
    parts = ("name", "size", "type", "url")
    for path in ("userId", "selectedOptions", *(f"mediaFiles.0.{part}" for part in parts)):
        answer = await post(api, user, without(request_of(user), path))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["details"]["field"]) == (400, "invalid_field", path)
    assert project.jobs() == []


MALFORMED: list[tuple[dict[str, Any], str, str]] = [
    ({"selectedOptions": []}, "invalid_field", "selectedOptions"),
    ({"selectedOptions": "tiktok_video"}, "invalid_field", "selectedOptions"),
    ({"selectedOptions": ["tiktok_video", "orkut_scrap"]}, "unknown_option", "selectedOptions.1"),
    ({"selectedOptions": ["tiktok_video", "tiktok_video"]}, "duplicate_option", "selectedOptions.1"),
    ({"selectedOptions": ["x_tweet", "x_post"]}, "duplicate_option", "selectedOptions.1"),
    (
        {"captions": {"specific": {"x_post": "a", "x_tweet": "b"}}},
        "duplicate_option",
        "captions.specific.x_tweet",
    ),
    ({"mediaFiles": [{**VIDEO, "durationSeconds": -1}]}, "invalid_field", "mediaFiles.0.durationSeconds"),
    ({"captions": {"specific": {"orkut_scrap": "x"}}}, "unknown_option", "captions.specific.orkut_scrap"),
    ({"settings": {"orkut_scrap": {}}}, "unknown_option", "settings.orkut_scrap"),
    ({"settings": {"tiktok_video": 5}}, "invalid_field", "settings.tiktok_video"),
    ({"captions": "text"}, "invalid_field", "captions"),
    ({"captions": {"universal": 5}}, "invalid_field", "captions.universal"),
    ({"userId": "me"}, "invalid_field", "userId"),
    ({"scheduledAt": "tomorrow"}, "invalid_field", "scheduledAt"),
    ({"scheduledAt": "2027-01-01T10:00:00"}, "invalid_field", "scheduledAt"),
    ({"priority": 11}, "invalid_field", "priority"),
    ({"priority": "high"}, "invalid_field", "priority"),
    ({"dryRun": "perhaps"}, "invalid_field", "dryRun"),
    ({"colour": "red"}, "invalid_field", "colour"),
    ({"mediaFiles": [{**VIDEO, "size": "big"}]}, "invalid_field", "mediaFiles.0.size"),
    ({"mediaFiles": [{**VIDEO, "colour": "red"}]}, "invalid_field", "mediaFiles.0.colour"),
]


async def test_a_malformed_request_enqueues_nothing(api: httpx.AsyncClient, project: Project, user: User) -> None:
    for changes, code, field in MALFORMED:
        answer = await post(api, user, request_of(user, **changes))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["details"]["field"]) == (400, code, field), error
        if code == "unknown_option":
            assert "tiktok_video" in error["hint"] and "instagram_feed" in error["hint"]
    assert project.jobs() == []


async def test_nobody_publishes_for_somebody_else(api: httpx.AsyncClient, project: Project, user: User) -> None:
    other = project.sign_up()
    project.connect_account(other, "tiktok")
    for named in (other.id, str(uuid4())):
        answer = await post(api, user, request_of(user, userId=named))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_user")
    assert project.jobs() == []


async def test_a_token_that_is_not_verified_decides_nothing(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    tokens = {"expired": project.token(user.id, exp=1), "forged": user.token[:-8] + "AAAAAAAA", "none": "hello"}
    for name, token in tokens.items():
        for named in (user.id, str(uuid4())):
            answer = await post(api, User(user.id, token), request_of(user, userId=named))
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token"), name
    assert project.jobs() == []


async def test_a_repeated_request_with_a_key_publishes_once(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    first = await post(api, user, request_of(user), **{"Idempotency-Key": "post-7"})
    again = await post(api, user, request_of(user), **{"Idempotency-Key": "post-7"})
    assert first.json() == again.json()
    assert [job["idempotency_key"] for job in project.jobs()] == ["post-7:tiktok_video", "post-7:instagram_feed"]
    other = request_of(user, captions={"universal": "Another text"})
    conflict = await post(api, user, other, **{"Idempotency-Key": "post-7"})
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_conflict")


async def test_no_secret_of_an_account_leaves_by_this_endpoint(api: httpx.AsyncClient, user: User, logs: Logs) -> None:
    answer = await post(api, user, request_of(user))
    assert "canary" not in answer.text + logs.stream.getvalue()
