"""TikTok's photos and drafts: what they send, and what is known of them afterwards."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
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
from functions.platforms.tiktok.chunks import ChunkRules

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
ROOT = "https://open.tiktokapis.com/v2/post/publish"
CREATOR, CONTENT, INBOX, VIDEO_INIT, STATUS = (
    f"{ROOT}/{path}/"
    for path in ("creator_info/query", "content/init", "inbox/video/init", "video/init", "status/fetch")
)
UPLOAD = "https://upload.tiktokapis.com/v/1"
ACCOUNT = Account("open-id", "secret")
REMOTE = {"username": "ana", "comment_disabled": False, "publish_id": None}
POSTED = REMOTE | {"publish_id": "p1"}
SIZE = 25


def photos(option: str = "tiktok_photo", **settings: Any) -> Post:
    files = [
        MediaFile(name=f"{number}.jpg", size=10, type="image/jpeg", url=f"https://media.example/{number}.jpg")
        for number in range(2)
    ]
    privacy = {"privacy": "SELF_ONLY"} if option == "tiktok_photo" else {}
    return Post(option, tuple(files), "caption", {**privacy, **settings})


def video(option: str = "tiktok_video_draft", **settings: Any) -> Post:
    file = MediaFile(name="clip.mp4", size=SIZE, type="video/mp4", url="https://media.example/clip.mp4")
    return Post(option, (file,), "", settings)


def answer(data: dict[str, Any], code: str = "ok", status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"data": data, "error": {"code": code, "message": "words", "log_id": "1"}})


def serve(request: httpx.Request) -> httpx.Response:
    first, last = (int(number) for number in request.headers["range"].removeprefix("bytes=").split("-"))
    if "gone" in request.url.path:
        return httpx.Response(404)
    is_photo = request.url.path.endswith(".jpg")
    total, mime = (10, "image/jpeg") if is_photo else (SIZE, "video/mp4")
    headers = {"Content-Range": f"bytes {first}-{last}/{total}", "Content-Type": mime}
    return httpx.Response(206, content=b"v" * (last - first + 1), headers=headers)


@pytest.fixture
async def adapter() -> AsyncIterator[TikTok]:
    async with httpx.AsyncClient(verify=TLS) as http:
        chunks = ChunkRules(single_up_to=10, chunk_size=10)
        yield TikTok(http, TikTokConfig("https://open.tiktokapis.com", chunks=chunks))


@pytest.fixture
def tiktok() -> Iterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        creator = {"creator_username": "ana", "privacy_level_options": ["SELF_ONLY"], "comment_disabled": False}
        router.post(CREATOR).mock(return_value=answer(creator))
        router.post(CONTENT).mock(return_value=answer({"publish_id": "p1"}))
        for path in (INBOX, VIDEO_INIT):
            router.post(path).mock(return_value=answer({"publish_id": "v1", "upload_url": UPLOAD}))
        router.get(url__startswith="https://media.example/").mock(side_effect=serve)
        yield router


async def failure_of(step: Any) -> Any:
    with pytest.raises(CallFailed) as failed:
        await step
    return failed.value.failure


async def test_photos_are_posted_with_the_users_choices(adapter: TikTok, tiktok: respx.Router) -> None:
    choices = photos(title="Title", coverIndex=1, allowComments=False, addMusic=True, brandOrganic=True)
    assert await adapter.prepare(choices, ACCOUNT, {}, 0) == Ready(REMOTE)
    assert CONTENT not in [str(call.request.url) for call in tiktok.calls]
    assert await adapter.finish(choices, ACCOUNT, REMOTE) == Pending(POSTED, 5)
    assert json.loads(tiktok.post(CONTENT).calls.last.request.content) == {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST",
        "post_info": {
            "title": "Title",
            "description": "caption",
            "privacy_level": "SELF_ONLY",
            "disable_comment": True,
            "auto_add_music": True,
            "brand_content_toggle": False,
            "brand_organic_toggle": True,
        },
        "source_info": {
            "source": "PULL_FROM_URL",
            "photo_cover_index": 1,
            "photo_images": ["https://media.example/0.jpg", "https://media.example/1.jpg"],
        },
    }


async def test_a_draft_of_photos_says_nothing_that_only_a_post_may_say(adapter: TikTok, tiktok: respx.Router) -> None:
    ready = await adapter.prepare(photos("tiktok_photo_draft"), ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    assert not tiktok.post(CREATOR).called
    await adapter.finish(photos("tiktok_photo_draft"), ACCOUNT, ready.remote)
    body = json.loads(tiktok.post(CONTENT).calls.last.request.content)
    assert (body["post_mode"], body["post_info"]) == ("MEDIA_UPLOAD", {"description": "caption"})


async def test_photos_that_tiktok_could_not_fetch_are_refused_before_anything_is_posted(
    adapter: TikTok, tiktok: respx.Router
) -> None:
    gone = MediaFile(name="1.jpg", size=10, type="image/jpeg", url="https://media.example/gone.jpg")
    failure = await failure_of(adapter.prepare(replace(photos(), media=(gone,)), ACCOUNT, {}, 0))
    assert (type(failure), failure.error.code) == (Permanent, "media_not_available")


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (answer({}, "invalid_param", 400), Permanent),
        (answer({}, "access_token_invalid", 401), Auth),
        (answer({}, "scope_not_authorized", 401), Auth),
        (answer({}, "url_ownership_unverified", 403), Permanent),
        (answer({}, "spam_risk_too_many_posts", 403), Quota),
        (answer({}, "spam_risk_too_many_pending_share", 403), Quota),
        (answer({}, "rate_limit_exceeded", 429), Quota),
        (answer({}, "spam_risk_user_banned_from_posting", 200), Permanent),
        (answer({}, "internal_error", 500), Ambiguous),
        (answer({}, "internal_error", 200), Ambiguous),
        (answer({}), Ambiguous),
        (httpx.Response(200, html="<h1>hello</h1>"), Ambiguous),
        (httpx.Response(502, html="bad gateway"), Ambiguous),
        (httpx.ReadTimeout("late"), Ambiguous),
        (httpx.RemoteProtocolError("gone"), Ambiguous),
        (httpx.ConnectError("down"), TryAgain),
    ],
)
async def test_each_answer_to_the_irreversible_call_has_its_class(
    adapter: TikTok, tiktok: respx.Router, response: Any, kind: type[Any]
) -> None:
    tiktok.post(CONTENT).mock(side_effect=[response])
    assert type(await failure_of(adapter.finish(photos(), ACCOUNT, REMOTE))) is kind


async def test_photos_whose_answer_was_lost_cannot_be_asked_for(adapter: TikTok, tiktok: respx.Router) -> None:
    failure = await failure_of(adapter.poll(photos(), ACCOUNT, REMOTE, 0))
    assert (type(failure), failure.error.code) == (Permanent, "outcome_unknown")
    assert not tiktok.calls


@pytest.mark.parametrize(
    ("wanted", "status", "end"),
    [
        (photos(), {"status": "PROCESSING_DOWNLOAD"}, Pending),
        (photos(), {"status": "SEND_TO_USER_INBOX"}, Pending),
        (photos(), {"status": "FAILED", "fail_reason": "photo_pull_failed"}, NotPublished),
        (photos(), {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [7]}, Published),
        (photos("tiktok_photo_draft"), {"status": "SEND_TO_USER_INBOX"}, Published),
    ],
)
async def test_the_status_tells_what_became_of_photos(
    adapter: TikTok, tiktok: respx.Router, wanted: Post, status: dict[str, Any], end: type[Any]
) -> None:
    tiktok.post(STATUS).mock(return_value=answer(status))
    found = await adapter.poll(wanted, ACCOUNT, POSTED, 0)
    assert isinstance(found, end)
    if isinstance(found, Published):
        link = "https://www.tiktok.com/@ana/photo/7" if wanted.option == "tiktok_photo" else None
        assert found.result["permalink"] == link


async def test_a_draft_of_a_video_is_uploaded_without_a_word_and_ends_in_the_inbox(
    adapter: TikTok, tiktok: respx.Router
) -> None:
    tiktok.put(UPLOAD).mock(side_effect=[httpx.Response(206), httpx.Response(201)])
    ready = await adapter.prepare(video(), ACCOUNT, {}, 0)
    assert isinstance(ready, Ready)
    assert not tiktok.post(CREATOR).called
    source = {"source": "FILE_UPLOAD", "video_size": 25, "chunk_size": 10, "total_chunk_count": 2}
    assert json.loads(tiktok.post(INBOX).calls.last.request.content) == {"source_info": source}
    finished = await adapter.finish(video(), ACCOUNT, ready.remote)
    tiktok.post(STATUS).mock(return_value=answer({"status": "SEND_TO_USER_INBOX"}))
    found = await adapter.poll(video(), ACCOUNT, finished.remote, 0)
    assert isinstance(found, Published)
    assert (found.result["option"], found.result["permalink"]) == ("tiktok_video_draft", None)


async def test_a_video_goes_on_with_the_chunks_that_tiktok_lacks(adapter: TikTok, tiktok: respx.Router) -> None:
    put = tiktok.put(UPLOAD).mock(side_effect=[httpx.ReadTimeout("late")])
    waiting = await adapter.prepare(video(), ACCOUNT, {}, 0)
    assert isinstance(waiting, Pending)
    assert (waiting.remote["sent"], waiting.remote["failures"]) == (0, 1)
    tiktok.post(STATUS).mock(return_value=answer({"status": "PROCESSING_UPLOAD", "uploaded_bytes": 10}))
    ready = await adapter.prepare(video(), ACCOUNT, waiting.remote, 1)
    assert isinstance(ready, Ready)
    assert (ready.remote["sent"], put.call_count) == (1, 1)


async def test_a_video_longer_than_the_account_may_post_is_refused_before_anything_is_opened(
    adapter: TikTok, tiktok: respx.Router
) -> None:
    limits = {"privacy_level_options": ["SELF_ONLY"], "max_video_post_duration_sec": 60}
    tiktok.post(CREATOR).mock(return_value=answer(limits))
    wanted = video("tiktok_video", privacy="SELF_ONLY")
    long = wanted.media[0].model_copy(update={"duration_seconds": 61.0})
    failure = await failure_of(adapter.prepare(replace(wanted, media=(long,)), ACCOUNT, {}, 0))
    assert (type(failure), failure.error.code) == (Permanent, "media_duration")
    assert VIDEO_INIT not in [str(call.request.url) for call in tiktok.calls]


async def test_a_video_that_failed_meanwhile_is_not_gone_on_with(adapter: TikTok, tiktok: respx.Router) -> None:
    tiktok.put(UPLOAD).mock(side_effect=[httpx.ReadTimeout("late")])
    waiting = await adapter.prepare(video(), ACCOUNT, {}, 0)
    assert isinstance(waiting, Pending)
    failed = {"status": "FAILED", "fail_reason": "file_format_check_failed"}
    tiktok.post(STATUS).mock(return_value=answer(failed))
    assert isinstance(await failure_of(adapter.prepare(video(), ACCOUNT, waiting.remote, 1)), Permanent)
