"""The TikTok adapter: what it sends, and how it sorts every answer of the error tables."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx

from functions.platforms.answers import (
    Ambiguous,
    Auth,
    CallFailed,
    NotPublished,
    Pending,
    Permanent,
    Published,
    Quota,
    Ready,
    TryAgain,
)
from functions.platforms.post import Account, MediaFile, Post
from functions.platforms.tiktok.adapter import TikTok, TikTokConfig

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
BASE = "https://open.tiktokapis.com"
CREATOR, INIT, STATUS = (
    f"{BASE}/v2/post/publish/{path}/" for path in ("creator_info/query", "video/init", "status/fetch")
)
UPLOAD = "https://upload.tiktokapis.com/v/1"
MEDIA = "https://media.example/clip.mp4"
VIDEO = b"v" * 1000
ACCOUNT = Account("open-id", "act.secret")
NOW = 1_000_000.0
REMOTE = {
    "publish_id": "v1",
    "upload_url": UPLOAD,
    "username": "ana",
    "size": 1000,
    "opened_at": NOW,
    "sent": 0,
    "failures": 0,
}


def post(**settings: Any) -> Post:
    file = MediaFile(name="clip.mp4", size=1000, type="video/mp4", url=MEDIA)
    return Post("tiktok_video", (file,), "caption", {"privacy": "SELF_ONLY", **settings})


def answer(data: dict[str, Any], code: str = "ok", status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"data": data, "error": {"code": code, "message": "words", "log_id": "1"}})


def creator(**changes: Any) -> httpx.Response:
    return answer({"creator_username": "ana", "privacy_level_options": ["SELF_ONLY"]} | changes)


@pytest.fixture
async def adapter() -> AsyncIterator[TikTok]:
    async with httpx.AsyncClient(verify=TLS) as http:
        yield TikTok(http, TikTokConfig(BASE), clock=lambda: NOW)


@pytest.fixture
def tiktok() -> Any:
    with respx.mock(assert_all_called=False) as router:
        router.post(CREATOR).mock(return_value=creator())
        router.post(INIT).mock(return_value=answer({"publish_id": "v1", "upload_url": UPLOAD}))
        router.get(MEDIA).respond(206, content=VIDEO, headers={"Content-Range": "bytes 0-0/1000"})
        yield router


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


async def test_a_post_is_opened_as_an_upload_with_the_users_choices(adapter: TikTok, tiktok: respx.Router) -> None:
    tiktok.post(CREATOR).mock(return_value=creator(duet_disabled=True))
    choices = post(allowComments=False, aiGenerated=True, brandOrganic=True, coverTimestampMs=500)
    assert await adapter.prepare(choices, ACCOUNT, {}, 0) == Ready(REMOTE | {"sends": 0, "accepted": False})

    request = tiktok.post(INIT).calls.last.request
    assert request.headers["authorization"] == "Bearer act.secret"
    assert request.headers["content-type"] == "application/json; charset=UTF-8"
    assert json.loads(request.content) == {
        "post_info": {
            "title": "caption",
            "privacy_level": "SELF_ONLY",
            "disable_comment": True,
            "disable_duet": True,
            "disable_stitch": False,
            "brand_content_toggle": False,
            "brand_organic_toggle": True,
            "is_aigc": True,
            "video_cover_timestamp_ms": 500,
        },
        "source_info": {"source": "FILE_UPLOAD", "video_size": 1000, "chunk_size": 1000, "total_chunk_count": 1},
    }


async def test_the_last_chunk_carries_its_range_and_no_token(adapter: TikTok, tiktok: respx.Router) -> None:
    upload = tiktok.put(UPLOAD).respond(201)
    finished = await adapter.finish(post(), ACCOUNT, REMOTE)
    assert finished == Pending(REMOTE | {"sends": 0, "accepted": True}, 5)
    request = upload.calls.last.request
    assert request.headers["content-range"] == "bytes 0-999/1000"
    assert request.headers["content-length"] == "1000"
    assert request.headers["content-type"] == "video/mp4"
    assert "authorization" not in request.headers
    assert "transfer-encoding" not in request.headers


ERRORS = [
    (400, "invalid_param", Permanent),
    (400, "app_version_check_failed", Permanent),
    (401, "access_token_invalid", Auth),
    (401, "scope_not_authorized", Auth),
    (403, "spam_risk_too_many_posts", Quota),
    (403, "spam_risk_too_many_pending_share", Quota),
    (403, "reached_active_user_cap", Quota),
    (403, "spam_risk_user_banned_from_posting", Permanent),
    (403, "unaudited_client_can_only_post_to_private_accounts", Permanent),
    (403, "url_ownership_unverified", Permanent),
    (403, "privacy_level_option_mismatch", Permanent),
    (429, "rate_limit_exceeded", Quota),
    (500, "internal_error", TryAgain),
    (503, "internal_error", TryAgain),
    (400, "invalid_publish_id", Permanent),
    (400, "token_not_authorized_for_specified_publish_id", Permanent),
    (403, "a_code_of_tomorrow", Permanent),
]


@pytest.mark.parametrize(("status", "code", "kind"), ERRORS)
async def test_each_error_at_init_has_its_class(
    adapter: TikTok, tiktok: respx.Router, status: int, code: str, kind: type[Any]
) -> None:
    tiktok.post(INIT).mock(return_value=answer({}, code, status))
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert type(failure) is kind
    assert failure.error.code == code
    assert failure.error.details["platform_response"]["error"]["message"] == "words"


@pytest.mark.parametrize("code", ["spam_risk_too_many_posts", "reached_active_user_cap"])
async def test_an_error_counts_even_with_http_200(adapter: TikTok, tiktok: respx.Router, code: str) -> None:
    tiktok.post(CREATOR).mock(return_value=answer({}, code, 200))
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert isinstance(failure, Quota)
    assert failure.after_seconds == 86_400


@pytest.mark.parametrize(("headers", "pause"), [({}, 60), ({"Retry-After": "90"}, 90), ({"Retry-After": "inf"}, 60)])
async def test_the_rate_limit_waits_a_minute_or_as_long_as_tiktok_says(
    adapter: TikTok, tiktok: respx.Router, headers: dict[str, str], pause: float
) -> None:
    limited = httpx.Response(429, json={"error": {"code": "rate_limit_exceeded"}}, headers=headers)
    tiktok.post(CREATOR).mock(return_value=limited)
    assert (await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))).after_seconds == pause


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.ReadTimeout("late"), TryAgain),
        (httpx.ConnectError("down"), TryAgain),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), TryAgain),
        (httpx.Response(401), Auth),
        (httpx.Response(404, html="no such page"), Permanent),
        (httpx.Response(408), TryAgain),
        (answer({"upload_url": UPLOAD}), TryAgain),
    ],
)
async def test_an_answer_that_is_missing_or_not_tiktoks_has_a_class_too(
    adapter: TikTok, tiktok: respx.Router, response: Any, kind: type[Any]
) -> None:
    tiktok.post(INIT).mock(side_effect=[response])
    assert type(await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))) is kind


async def test_a_privacy_that_the_creator_does_not_allow_is_refused_before_anything_is_opened(
    adapter: TikTok, tiktok: respx.Router
) -> None:
    tiktok.post(CREATOR).mock(return_value=creator(privacy_level_options=["PUBLIC_TO_EVERYONE"]))
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert isinstance(failure, Permanent)
    assert "PUBLIC_TO_EVERYONE" in failure.error.message
    assert not tiktok.post(INIT).called


async def test_a_file_larger_than_it_was_said_to_be_is_refused(adapter: TikTok, tiktok: respx.Router) -> None:
    tiktok.get(MEDIA).respond(206, content=b"v", headers={"Content-Range": "bytes 0-0/4000000001"})
    failure = await failure_of(adapter.prepare(post(), ACCOUNT, {}, 0))
    assert (type(failure), failure.error.code) == (Permanent, "media_size_differs")


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.Response(500), Ambiguous),
        (httpx.Response(206), Ambiguous),
        (httpx.Response(403), Ambiguous),
        (httpx.Response(416), Ambiguous),
        (httpx.ReadTimeout("late"), Ambiguous),
        (httpx.ReadError("reset"), Ambiguous),
        (httpx.RemoteProtocolError("gone"), Ambiguous),
        (httpx.ConnectError("down"), TryAgain),
        (httpx.ConnectTimeout("down"), TryAgain),
    ],
)
async def test_anything_but_success_after_the_last_chunk_was_sent_is_ambiguous(
    adapter: TikTok, tiktok: respx.Router, response: Any, kind: type[Any]
) -> None:
    tiktok.put(UPLOAD).mock(side_effect=[response])
    assert type(await failure_of(adapter.finish(post(), ACCOUNT, REMOTE))) is kind


async def test_media_that_breaks_off_during_the_last_chunk_has_not_published(
    adapter: TikTok, tiktok: respx.Router
) -> None:
    tiktok.get(MEDIA).respond(206, content=b"short", headers={"Content-Range": "bytes 0-999/1000"})
    tiktok.put(UPLOAD).respond(201)
    failure = await failure_of(adapter.finish(post(), ACCOUNT, REMOTE))
    assert (type(failure), failure.error.code) == (TryAgain, "media_unreachable")


async def test_a_complete_post_gives_its_ids_as_text_and_its_address(adapter: TikTok, tiktok: respx.Router) -> None:
    data = {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [7_500_000_000_000_000_001]}
    tiktok.post(STATUS).mock(return_value=answer(data))
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert isinstance(found, Published)
    assert found.result["post_ids"] == ["7500000000000000001"]
    assert found.result["permalink"] == "https://www.tiktok.com/@ana/video/7500000000000000001"
    assert found.result["platform_response"]["data"] == data


async def test_a_complete_post_that_is_not_public_yet_is_complete(adapter: TikTok, tiktok: respx.Router) -> None:
    tiktok.post(STATUS).mock(return_value=answer({"status": "PUBLISH_COMPLETE"}))
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert isinstance(found, Published)
    assert (found.result["post_ids"], found.result["permalink"]) == ([], None)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("internal", TryAgain),
        ("video_pull_failed", TryAgain),
        ("spam_risk_too_many_posts", Quota),
        ("file_format_check_failed", Permanent),
        ("duration_check_failed", Permanent),
        ("frame_rate_check_failed", Permanent),
        ("picture_size_check_failed", Permanent),
        ("spam_risk", Permanent),
        ("spam_risk_text", Permanent),
        ("spam_risk_user_banned_from_posting", Permanent),
        ("publish_cancelled", Permanent),
        ("auth_removed", Permanent),
    ],
)
async def test_a_failed_post_was_not_published_and_its_reason_has_a_class(
    adapter: TikTok, tiktok: respx.Router, reason: str, kind: type[Any]
) -> None:
    tiktok.post(STATUS).mock(return_value=answer({"status": "FAILED", "fail_reason": reason}))
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert isinstance(found, NotPublished)
    assert (type(found.reason), found.reason.error.code) == (kind, reason)


MISSING = {"status": "PROCESSING_UPLOAD", "uploaded_bytes": 0}


async def test_a_last_chunk_that_tiktok_lacks_is_sent_to_the_same_upload(adapter: TikTok, tiktok: respx.Router) -> None:
    tiktok.post(STATUS).mock(return_value=answer(MISSING))
    upload = tiktok.put(UPLOAD).respond(201)
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert found == Pending(REMOTE | {"sends": 0, "accepted": True}, 5)
    assert upload.call_count == 1
    assert not tiktok.post(INIT).called


@pytest.mark.parametrize("remote", [REMOTE | {"accepted": True}, REMOTE | {"sends": 4}])
async def test_the_last_chunk_is_not_sent_when_it_was_accepted_or_sent_often_enough(
    adapter: TikTok, tiktok: respx.Router, remote: dict[str, Any]
) -> None:
    tiktok.post(STATUS).mock(return_value=answer(MISSING))
    found = await adapter.poll(post(), ACCOUNT, remote, 2)
    assert isinstance(found, Pending)
    assert found.after_seconds == 20
    assert not tiktok.put(UPLOAD).called


async def test_an_upload_without_its_last_chunk_is_given_up_only_when_its_hour_is_over(
    adapter: TikTok, tiktok: respx.Router
) -> None:
    tiktok.post(STATUS).mock(return_value=answer(MISSING))
    tiktok.put(UPLOAD).respond(404)
    found = await adapter.poll(post(), ACCOUNT, REMOTE, 0)
    assert isinstance(found, Pending)
    assert found.remote["sends"] == 1
    assert tiktok.put(UPLOAD).call_count == 1
    just_over = REMOTE | {"opened_at": NOW - 3601}
    assert await adapter.poll(post(), ACCOUNT, just_over, 0) == Pending(just_over | {"accepted": False, "sends": 0}, 5)
    assert tiktok.put(UPLOAD).call_count == 1
    found = await adapter.poll(post(), ACCOUNT, REMOTE | {"opened_at": NOW - 4201}, 0)
    assert isinstance(found, NotPublished)
    assert found.reason.error.code == "upload_expired"


def test_a_token_does_not_show_in_what_is_printed() -> None:
    assert "secret" not in repr(ACCOUNT)
